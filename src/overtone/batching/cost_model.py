"""Cost model of a batch: its memory, predicted from a few batches that were measured."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

_MAX_MARGIN = 2.5
"""A surprise larger than this was not the batch's: something else in the process took memory meanwhile."""


@dataclass(frozen=True, slots=True)
class Shape:
    """Shape of a batch as it is charged: `rows` items, each padded to `seconds`."""

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
    """Bytes that a batch needs on top of the resident ones: (fixed + a·B·T + b·B·T²) × margin.

    B rows, T padded seconds per row and `row_s` more: the cost of a row beyond its audio, such as tokens that stand for
    none. `b` is the cost of attention where it is not done block by block. `rtf`: seconds of running per padded second,
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

    def with_margin(self, shape: Shape, measured: int) -> CostModel:
        """The model with its margin raised, within limits, so that it would have covered `measured` bytes."""
        predicted = self.predict(shape)
        if measured <= predicted:
            return self
        return replace(self, margin=min(_MAX_MARGIN, self.margin * measured / predicted * 1.02))

    @classmethod
    def fit(cls, probes: Iterable[tuple[Shape, int]], *, row_s: float = 0.0, quadratic: bool = True) -> CostModel:
        """Fit by least squares with no negative coefficient, then shift up so that no probe lies above.

        - `probes`: (shape, peak bytes measured on top of the resident ones), at least one.
        - `quadratic`: True if the backend's attention grows with the square of the length; extrapolating a square that
          is not there would forbid long files.
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
        """Read the numbers of `as_dict`. ValueError, KeyError or TypeError if they are something else."""
        values = [float(numbers[name]) for name in ("fixed", "per_second", "per_second_squared", "row_s")]
        rtf = None if numbers["rtf"] is None else float(numbers["rtf"])
        if not all(np.isfinite(value) and value >= 0 for value in (*values, rtf or 0.0)):
            raise ValueError("a cost is finite and not negative")
        fixed, per_second, per_second_squared, row_s = values
        return cls(fixed, per_second, per_second_squared, rtf=rtf, row_s=row_s)
