"""Bytes: sizes as people write them, the cost model that predicts a batch, and the ledger of one budget.

Nothing here measures; `resources` and the backends do, and tell.
"""

from __future__ import annotations

import itertools
import re
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from overtone.errors import UsageError

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
_UNITS = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": KIB, "mib": MIB, "gib": GIB, "tib": 1 << 40}
_UNITS |= {"k": KIB, "m": MIB, "g": GIB, "tb": 10**12}

_MOST_MARGIN = 2.5
"""A surprise larger than this was not the batch's: something else in the process took memory meanwhile."""


def parse_size(text: str | int) -> int:
    """Bytes of `2GiB`, `512MB`, `1.5GiB` or a plain number. UsageError for anything else."""
    match = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]*)?)\s*([a-zA-Z]*)\s*", str(text))
    size = int(float(match[1]) * _UNITS.get(match[2].lower(), 0)) if match else 0
    if size <= 0 or isinstance(text, bool):
        raise UsageError(f"{text!r} is not a size of memory; write it like 2GiB or 512MB.")
    return size


def format_size(size: float) -> str:
    """`1.50 GiB`, `310 MiB`: three figures, binary units."""
    if abs(size) >= GIB:
        return f"{size / GIB:.2f} GiB"
    for unit, scale in (("MiB", MIB), ("KiB", KIB)):
        if abs(size) >= scale:
            value = size / scale
            return f"{value:.0f} {unit}" if value >= 100 else f"{value:.3g} {unit}"
    return f"{int(size)} B"


@dataclass(frozen=True, slots=True)
class Shape:
    """A batch as it is charged: `rows` items, each padded to `seconds`."""

    rows: int
    seconds: float

    @property
    def padded_s(self) -> float:
        """Padded seconds of the whole batch."""
        return self.rows * self.seconds

    def __str__(self) -> str:
        return f"{self.rows} × {self.seconds:.1f} s"


@dataclass(frozen=True, slots=True)
class CostModel:
    """Bytes that a batch needs on top of what is resident: (fixed + a·B·T + b·B·T²) × margin.

    B rows, T padded seconds per row and `row_s` more: what a row takes beyond its audio, such as tokens that stand for
    none. `b` is what attention adds where it is not done block by block. `rtf`: seconds of running per padded second,
    None if it was not measured.
    """

    fixed: float
    per_second: float
    per_second_squared: float
    margin: float = 1.15
    rtf: float | None = None
    row_s: float = 0.0

    def predict(self, shape: Shape) -> int:
        """Bytes for a batch, margin included."""
        rows, seconds = shape.rows, shape.seconds + self.row_s
        bare = self.fixed + rows * seconds * (self.per_second + self.per_second_squared * seconds)
        return int(bare * self.margin)

    def widened(self, shape: Shape, measured: int) -> CostModel:
        """The model with its margin raised, within limits, so that it would have covered `measured` bytes."""
        predicted = self.predict(shape)
        if measured <= predicted:
            return self
        return replace(self, margin=min(_MOST_MARGIN, self.margin * measured / predicted * 1.02))

    @classmethod
    def fit(cls, probes: Iterable[tuple[Shape, int]], *, row_s: float = 0.0, quadratic: bool = True) -> CostModel:
        """Least squares with no negative coefficient, then shifted up so that no probe lies above.

        probes: (shape, peak bytes measured on top of what was resident), at least one. quadratic: whether the backend's
        attention grows with the square of the length; extrapolating a square that is not there would forbid long files.
        """
        points = list(probes)
        rows = [[1.0, p.rows * (p.seconds + row_s), p.rows * (p.seconds + row_s) ** 2] for p, _ in points]
        design, target = np.array(rows), np.array([float(size) for _, size in points])
        best, best_error = np.array([target.max(), 0.0, 0.0]), np.inf
        # Three coefficients: trying every set of active ones is exact, and needs no solver.
        usable = 3 if quadratic else 2
        for active in itertools.chain.from_iterable(itertools.combinations(range(usable), n) for n in (1, 2, 3)):
            columns = list(active)
            part = np.linalg.lstsq(design[:, columns], target, rcond=None)[0]
            error = float(((design[:, columns] @ part - target) ** 2).sum())
            if (part >= 0).all() and error < best_error * (1 - 1e-9):
                best, best_error = np.zeros(3), error
                best[columns] = part
        best[0] += max(0.0, float((target - design @ best).max()))
        fixed, per_second, per_second_squared = (float(value) for value in best)
        return cls(fixed, per_second, per_second_squared, row_s=row_s)

    def as_dict(self) -> dict[str, float | None]:
        """Plain numbers, for the cache on disk."""
        return {
            "fixed": self.fixed,
            "per_second": self.per_second,
            "per_second_squared": self.per_second_squared,
            "rtf": self.rtf,
            "row_s": self.row_s,
        }

    @classmethod
    def from_dict(cls, numbers: dict[str, Any]) -> CostModel:
        """Read what `as_dict` gave. ValueError, KeyError or TypeError if it is something else."""
        values = [float(numbers[name]) for name in ("fixed", "per_second", "per_second_squared", "row_s")]
        rtf = None if numbers["rtf"] is None else float(numbers["rtf"])
        if not all(np.isfinite(value) and value >= 0 for value in (*values, rtf or 0.0)):
            raise ValueError("a cost is finite and not negative")
        fixed, per_second, per_second_squared, row_s = values
        return cls(fixed, per_second, per_second_squared, rtf=rtf, row_s=row_s)


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
    """What a runtime said when the system or a device refused it memory; None if the error is something else."""
    if isinstance(error, MemoryError):
        return "the system refused memory"
    # PyTorch's errors, known by name so that PyTorch need not be here.
    said = str(error).strip()
    refused = type(error).__name__ == "OutOfMemoryError" or (
        isinstance(error, RuntimeError) and any(text in said for text in _REFUSALS)
    )
    return said.splitlines()[0][:200] if refused and said else None


class Gate:
    """Lets in so much at a time, first come, first served; what is larger than all is let in alone. Thread-safe."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._held = 0
        self._queue: deque[object] = deque()
        self._changed = threading.Condition()
        self._closed = False

    @property
    def held(self) -> int:
        """What is in now."""
        return self._held

    def take(self, size: int) -> None:
        """Wait until `size` fits, and hold it."""
        place = object()
        with self._changed:
            self._queue.append(place)
            try:
                self._changed.wait_for(lambda: self._closed or (self._queue[0] is place and self._fits(size)))
                self._held += size
            finally:
                self._queue.remove(place)
                self._changed.notify_all()

    def _fits(self, size: int) -> bool:
        return not self._held or self._held + size <= self.capacity

    def give(self, size: int) -> None:
        """Give back what `take` held."""
        with self._changed:
            self._held -= size
            self._changed.notify_all()

    @contextmanager
    def holding(self, size: int) -> Iterator[None]:
        """Hold `size` while the block runs, once it fits."""
        self.take(size)
        try:
            yield
        finally:
            self.give(size)

    def wait_until_empty(self) -> None:
        """Wait until nothing is in."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or not self._held)

    def close(self) -> None:
        """Let everyone in; what they are let in to is closed as well, and will tell them."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()


class Ledger:
    """One budget and who holds what of it. Thread-safe.

    `measure` gives the bytes that are in use now, all told. Audio on its way to the model is held to
    the capacity of `audio`; what is left of the budget, after what is in use and after the audio that may still come,
    is room for the activations of one batch. `audio`: a gate that several ledgers share; `audio_bytes` of it are this
    ledger's.
    """

    def __init__(
        self, budget_bytes: int, audio_bytes: int, measure: Callable[[], int], audio: Gate | None = None
    ) -> None:
        self.budget_bytes = budget_bytes
        self.audio = Gate(audio_bytes) if audio is None else audio
        """Bytes of audio that wait or run."""
        self._audio_bytes = audio_bytes
        self._measure = measure

    def room(self) -> int:
        """Bytes that the activations of a batch may take now."""
        to_come = max(0, self._audio_bytes - self.audio.held)
        return self.budget_bytes - self._measure() - to_come
