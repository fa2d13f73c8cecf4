"""Memory sizes as people write them, refusals of memory recognized, and the peak of this process."""

from __future__ import annotations

import math
import re
import threading
from types import TracebackType

import psutil

from overtone.errors import UsageError
from overtone.system.machine import rss_bytes

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
_UNITS = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": KIB, "mib": MIB, "gib": GIB, "tib": 1 << 40}
_UNITS |= {"k": KIB, "m": MIB, "g": GIB, "tb": 10**12}


def parse_size(text: str | int) -> int:
    """Bytes of `2GiB`, `512MB`, `1.5GiB` or a plain number. UsageError for anything else."""
    match = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]*)?)\s*([a-zA-Z]*)\s*", str(text))
    size = float(match[1]) * _UNITS.get(match[2].lower(), 0) if match else 0.0
    if not 1 <= size < math.inf or isinstance(text, bool):
        raise UsageError(f"{text!r} is not a size of memory; write it like 2GiB or 512MB.")
    return int(size)


def format_size(size: float) -> str:
    """`1.50 GiB`, `310 MiB`: three figures, binary units."""
    if abs(size) >= GIB:
        return f"{size / GIB:.2f} GiB"
    for unit, scale in (("MiB", MIB), ("KiB", KIB)):
        if abs(size) >= scale:
            value = size / scale
            return f"{value:.0f} {unit}" if value >= 100 else f"{value:.3g} {unit}"
    return f"{int(size)} B"


_REFUSALS = (
    "can't allocate memory",
    "not enough memory",
    "bad_alloc",
    # Of CUDA itself and its libraries, which ask the device for memory beside PyTorch's allocator.
    "CUDA error: out of memory",
    "CUDA driver error: out of memory",
    "Triton Error [CUDA]: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
)


def memory_refusal(error: BaseException) -> str | None:
    """The message of a runtime that was refused memory by the system or a device; None for any other error."""
    if isinstance(error, MemoryError):
        return "the system refused memory"
    # PyTorch's errors, known by name so that PyTorch need not be here.
    said = str(error).strip()
    refused = type(error).__name__ == "OutOfMemoryError" or (
        isinstance(error, RuntimeError) and any(text in said for text in _REFUSALS)
    )
    return said.splitlines()[0][:200] if refused and said else None


class PeakSampler:
    """Highest resident memory of this process while the `with` block runs.

        with PeakSampler() as sampler: ...
        sampler.peak_bytes

    A thread looks every `INTERVAL_S`; a peak between two looks is missed, which the cost model's margin covers.
    """

    INTERVAL_S = 0.001

    def __init__(self) -> None:
        self.peak_bytes = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="overtone-peak", daemon=True)

    def _watch(self) -> None:
        process = psutil.Process()
        while True:
            self.peak_bytes = max(self.peak_bytes, process.memory_info().rss)
            if self._stop.wait(self.INTERVAL_S):
                return

    def __enter__(self) -> PeakSampler:
        self.peak_bytes = rss_bytes()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        self.peak_bytes = max(self.peak_bytes, rss_bytes())
