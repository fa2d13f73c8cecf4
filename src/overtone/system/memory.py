"""Memory sizes as people write them, refusals of memory recognized, and the peak of this process."""

from __future__ import annotations

import math
import re
import resource
import threading
from types import TracebackType

import psutil

from overtone.errors import BudgetError, Code, UsageError
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
    "can't alloc",
    "not enough memory",
    "bad_alloc",
    # Of CUDA itself and its libraries, which ask the device for memory beside PyTorch's allocator.
    "CUDA error: out of memory",
    "CUDA driver error: out of memory",
    "Triton Error [CUDA]: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
)


_LOADERS = ("cannot allocate memory", "failed to map segment", "static TLS block")
"""Words of the system's loader of libraries."""

_THREADS = ("can't start new thread", "resource temporarily unavailable")
"""Words for a thread that finds no room for its stack."""


def memory_refusal(error: BaseException) -> str | None:
    """The message of a runtime or a library that was refused memory by the system or a device; None for any other
    error."""
    if isinstance(error, MemoryError):
        return "the system refused memory"
    said = str(error).strip()
    # PyTorch's errors, known by name so that PyTorch need not be here.
    if type(error).__name__ == "OutOfMemoryError":
        return said.splitlines()[0][:200] if said else None
    signs: tuple[str, ...] = ()
    if isinstance(error, RuntimeError):
        signs = (*_REFUSALS, *_LOADERS, *_THREADS)
    elif isinstance(error, ImportError | OSError):
        signs = _LOADERS
    lines = (line.strip() for line in said.splitlines())
    return next((line[:200] for line in lines if any(sign.lower() in line.lower() for sign in signs)), None)


def memory_remedy() -> str:
    """The remedy where the system refuses memory, as a sentence."""
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit == resource.RLIM_INFINITY:
        return "Free memory on this machine, or take a larger one."
    return (
        f"This process may have {format_size(limit)} of address space (ulimit -v); raise that limit, as libraries "
        "reserve far more than they use."
    )


_ADDRESS_BYTES = GIB
"""Address space that a process needs to run the smallest model with one thread. Measured with OpenVINO 2026 and
PyAV 17: below 0.86 GiB parts of it fail at random, some by ending the process or by waiting for ever."""

_THREAD_BYTES = 72 * MIB
"""Address space of a thread: its stack, and the heap that glibc sets aside for it."""


def check_address_space(weight_bytes: int, threads: int) -> None:
    """BudgetError where a limit on address space (ulimit -v) leaves too little to load a model and run it."""
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    need = _ADDRESS_BYTES + 2 * weight_bytes + (threads - 1) * _THREAD_BYTES
    if limit != resource.RLIM_INFINITY and limit < need:
        raise BudgetError(
            f"this process may have {format_size(limit)} of address space (ulimit -v), and {format_size(need)} are "
            "needed; raise that limit, as libraries reserve far more than they use.",
            code=Code.OUT_OF_MEMORY,
        )


def memory_error(error: BaseException) -> BudgetError | None:
    """The error to raise for one that a want of memory is behind, itself or one that it came of; None for others."""
    cause: BaseException | None = error
    while cause is not None:
        if (refusal := memory_refusal(cause)) is not None:
            return BudgetError(f"memory ran out: {refusal}. {memory_remedy()}", code=Code.OUT_OF_MEMORY)
        cause = cause.__cause__ or cause.__context__
    return None


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
