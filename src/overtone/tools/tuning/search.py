"""Policy, pure: the settings to try next, and the best of those that were tried. No clock, no I/O.

One axis after the other, in the order of `Axes`, each from the best that is known so far. That is the sum of the axes'
lengths where a grid would be their product (twice the sum where no reference of a trial ever runs), and it suits axes
of which each matters less than the one before it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace

REFERENCE = "fp32"
"""The precision that is exact, which others are compared with."""

MIN_GAIN = 0.03
"""Share by which a setting has to be faster to win over one that was tried before it: that one is nearer to the
defaults, and a little more speed may be chance."""

MIN_AGREEMENT = 0.99
"""Share of segments that have to keep their label of fp32, unless said otherwise: one in a hundred may change, and in a
sample of fewer than a hundred segments none. Labels that change are those that hung in the balance."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One setting of everything that is tuned. Seconds of audio; None as in `Options`."""

    precision: str
    threads: int | None
    batch_size_s: float | None
    max_segment: float

    def reference(self) -> Trial:
        """The same in the precision that others are compared with."""
        return replace(self, precision=REFERENCE)


@dataclass(frozen=True, slots=True)
class Axes:
    """The values to try for each field of `Trial`, in order; the first ones together are the start."""

    precision: tuple[str, ...]
    threads: tuple[int | None, ...]
    batch_size_s: tuple[float | None, ...]
    max_segment: tuple[float, ...]

    def start(self) -> Trial:
        """The trial that comes first."""
        return Trial(self.precision[0], self.threads[0], self.batch_size_s[0], self.max_segment[0])

    @property
    def compares_precision(self) -> bool:
        """True if precisions are compared. Where only one may be used, its agreement decides nothing."""
        return REFERENCE in self.precision and len(self.precision) > 1


@dataclass(frozen=True, slots=True)
class TrialResult:
    """Result of a trial.

    - `wall_s`: seconds it took with everything around it.
    - `speed`: seconds of audio for a second of running, None where it failed.
    - `peak_bytes`, `budget_bytes`: of its process, or of the device on a GPU.
    - `agreement`: with the reference of the same segment length, 0 to 1, None where there is none.
    - `reason`: why it failed.
    """

    trial: Trial
    wall_s: float
    speed: float | None = None
    peak_bytes: int = 0
    budget_bytes: int = 0
    agreement: float | None = None
    reason: str | None = None

    @property
    def completed(self) -> bool:
        """True if it was measured."""
        return self.speed is not None


def next_trial(
    axes: Axes, rows: Sequence[TrialResult], *, left_s: float, min_agreement: float = MIN_AGREEMENT
) -> Trial | None:
    """The next trial, or None where nothing is left to try or nothing left fits in `left_s` seconds.

    Never one that was tried. One in another precision comes after its reference, since it could not be judged without.
    """
    if not rows:
        return axes.start()
    wanted = _wanted(axes, rows, min_agreement)
    return next((trial for trial in wanted if predicted_s(trial, rows) <= left_s), None)


def _wanted(axes: Axes, rows: Sequence[TrialResult], min_agreement: float) -> Iterator[Trial]:
    """Trials that are still to be made, in order; those of a later axis start from the best of the axes before it.

    The search is gone through again from its start, and each step sees only the rows of the steps before it: later
    rows may not send an earlier axis another way, or there would be no end short of the whole grid.
    """
    tried = {row.trial: row for row in rows}
    seen: list[TrialResult] = []
    start = axes.start()
    for axis in fields(Axes):
        line = [replace(start, **{axis.name: value}) for value in getattr(axes, axis.name)]
        for trial in line:
            for step in _steps(axes, trial, seen):
                if step not in tried:
                    yield step
                elif tried[step] not in seen:
                    seen.append(tried[step])
        of_line = [row for row in seen if row.trial in line]
        if (found := best(axes, of_line, min_agreement, all_rows=seen)) is not None:
            start = found.trial


def _steps(axes: Axes, trial: Trial, seen: Sequence[TrialResult]) -> Iterator[Trial]:
    """The reference of a trial where it has none yet, and then the trial, unless there is nothing to judge it by.

    `seen`: the rows so far; the outcome of a step has to be there before the next is asked for.
    """
    if axes.compares_precision and trial != trial.reference() and reference_of(trial, seen) is None:
        yield trial.reference()
        if reference_of(trial, seen) is None and _compared(seen):
            return
    yield trial


def reference_of(trial: Trial, rows: Sequence[TrialResult]) -> TrialResult | None:
    """The row that a trial's answers are compared with: fp32 on the same segments, whatever threads and batches."""
    same = (row for row in rows if row.completed and row.trial.precision == REFERENCE)
    return next((row for row in same if row.trial.max_segment == trial.max_segment), None)


def _compared(rows: Sequence[TrialResult]) -> bool:
    """True if fp32 runs here at all."""
    return any(row.completed and row.trial.precision == REFERENCE for row in rows)


def is_acceptable(
    axes: Axes, row: TrialResult, rows: Sequence[TrialResult], min_agreement: float = MIN_AGREEMENT
) -> bool:
    """True if a row ran, kept to its budget, and agrees with fp32.

    Where fp32 was tried and does not run here at all, there is nothing that others could be held to.
    """
    if not row.completed or row.peak_bytes > row.budget_bytes:
        return False
    if not axes.compares_precision or row.trial.precision == REFERENCE:
        return True
    if row.agreement is None:
        return not _compared(rows)
    return row.agreement >= min_agreement


def best(
    axes: Axes,
    rows: Sequence[TrialResult],
    min_agreement: float = MIN_AGREEMENT,
    *,
    all_rows: Sequence[TrialResult] | None = None,
) -> TrialResult | None:
    """The fastest acceptable row; of those within `MIN_GAIN` of it the first. None where none is acceptable.

    `all_rows`: where to look for references, if `rows` are only some.
    """
    among = [row for row in rows if is_acceptable(axes, row, all_rows or rows, min_agreement)]
    if not among:
        return None
    fastest = max(row.speed or 0.0 for row in among)
    return next(row for row in among if (row.speed or 0.0) >= fastest * (1 - MIN_GAIN))


def predicted_s(trial: Trial, rows: Sequence[TrialResult]) -> float:
    """Seconds that a trial will take, by the one most like it that ran; on fewer threads, as much longer.

    Where none ran, by the longest of those that failed. 0 without any.
    """
    ran = [row for row in rows if row.completed]
    if not ran:
        return max((row.wall_s for row in rows), default=0.0)
    nearest = max(ran, key=lambda row: (_likeness(trial, row.trial), row.wall_s))
    fewer = (nearest.trial.threads or 1) / (trial.threads or nearest.trial.threads or 1)
    return nearest.wall_s * max(1.0, fewer)


def _likeness(one: Trial, other: Trial) -> int:
    return sum(getattr(one, field.name) == getattr(other, field.name) for field in fields(Trial))
