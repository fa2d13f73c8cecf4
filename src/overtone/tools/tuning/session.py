"""One tuning: trial after trial until nothing is left to try, or no time."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field

import numpy as np
import numpy.typing as npt

from overtone.models.converted import Agreement
from overtone.options.emotion import Options
from overtone.tools.tuning import search, trial
from overtone.tools.tuning.sampling import Sample
from overtone.tools.tuning.search import Axes, Trial, TrialResult
from overtone.tools.tuning.trial import Answer, TrialError, TrialMeasurements

Runner = Callable[..., TrialMeasurements]
"""`trial.run`, or a stand-in for it in a test."""


@dataclass(frozen=True, slots=True)
class ReportedTrial:
    """A row of the search, with the rest that is shown of it. `code`: of the error, where it failed."""

    row: TrialResult
    agreement: Agreement | None = None
    code: str | None = None


@dataclass(slots=True)
class Session:
    """The trials of one tuning and their rows.

    - `base`: the options of every trial, apart from those that are tried.
    - `time_s`: for all trials together, from the first one on.
    - `min_agreement`: share of segments that have to keep their label of fp32.
    """

    base: Options
    axes: Axes
    sample: Sample
    time_s: float
    min_agreement: float = search.MIN_AGREEMENT
    runner: Runner = trial.run
    measured: list[ReportedTrial] = field(default_factory=list)
    _answers: dict[Trial, tuple[Answer, ...]] = field(default_factory=dict)
    _prepared: set[tuple[object, ...]] = field(default_factory=set)

    @property
    def rows(self) -> list[TrialResult]:
        """The rows that the search knows."""
        return [measured.row for measured in self.measured]

    def best(self) -> ReportedTrial | None:
        """The trial that wins, None if none can."""
        row = search.best(self.axes, self.rows, self.min_agreement)
        return next((measured for measured in self.measured if measured.row is row), None)

    def options(self, chosen: Trial) -> Options:
        """The options of a trial."""
        return self.base.replace(**asdict(chosen))

    def run(self, on_trial: Callable[[Trial, ReportedTrial | None], object]) -> bool:
        """Make the trials; True if there was time for all of them.

        A KeyboardInterrupt leaves the rows so far in place. `on_trial` is called before each trial, and with its row
        after.
        """
        began = time.perf_counter()
        while True:
            left_s = self.time_s - (time.perf_counter() - began)
            following = self._next(left_s)
            if following is None:
                return self._next(float("inf")) is None
            on_trial(following, None)
            self.measured.append(self._made(following, left_s))
            on_trial(following, self.measured[-1])

    def _next(self, left_s: float) -> Trial | None:
        return search.next_trial(self.axes, self.rows, left_s=left_s, min_agreement=self.min_agreement)

    def _made(self, made: Trial, left_s: float) -> ReportedTrial:
        began = time.perf_counter()
        # What is made once for these: the converted model, and what batches cost. Batches' size is no part of it.
        key = (made.precision, made.threads, made.max_segment)
        try:
            found = self.runner(
                self.options(made), self.sample.paths, prepare=key not in self._prepared, timeout_s=left_s
            )
        except TrialError as error:
            return ReportedTrial(TrialResult(made, time.perf_counter() - began, reason=str(error)), code=error.code)
        self._prepared.add(key)
        self._answers[made] = found.answers
        agreement = self._agreement(made, found.answers)
        row = TrialResult(
            made,
            time.perf_counter() - began,
            speed=found.audio_s / max(found.seconds, 1e-9),
            peak_bytes=found.peak_bytes,
            budget_bytes=found.budget_bytes,
            agreement=None if agreement is None else _share(agreement),
        )
        return ReportedTrial(row, agreement)

    def _agreement(self, made: Trial, answers: tuple[Answer, ...]) -> Agreement | None:
        if made.precision == search.REFERENCE:
            return None
        reference = search.reference_of(made, self.rows)
        return None if reference is None else compare(self._answers[reference.trial], answers)


def _share(agreement: Agreement) -> float:
    """The agreement that is held against the floor: of labels or, where a model has none, the cosine of embeddings."""
    return (agreement.cosine or 0.0) if agreement.labels is None else agreement.labels


def compare(expected: Sequence[Answer], found: Sequence[Answer]) -> Agreement | None:
    """Agreement of answers with those of fp32, over the segments that both have; None where they have none.

    A segment that only one of them has counts as one whose label differs.
    """
    theirs, ours = _segments(expected), _segments(found)
    both = [key for key in theirs if key in ours]
    pairs = [(theirs[key], ours[key]) for key in both]
    cosine = _cosine(expected, found)
    if not theirs and not ours:
        return None if cosine is None else Agreement("your audio", len(expected), None, None, cosine)
    same = sum(one[0] == other[0] for one, other in pairs) / len(theirs.keys() | ours.keys())
    difference = float(np.mean([np.abs(one[1] - other[1]).mean() for one, other in pairs])) if pairs else 1.0
    return Agreement("your audio", len(pairs), same, difference, cosine if cosine is not None else 0.0)


def _segments(answers: Sequence[Answer]) -> dict[tuple[object, ...], tuple[str, npt.NDArray[np.float64]]]:
    return {
        (*answer["key"], start, stop): (label, np.array(scores))
        for answer in answers
        for start, stop, label, scores in answer["segments"]
    }


def _cosine(expected: Sequence[Answer], found: Sequence[Answer]) -> float | None:
    """Mean cosine between the sources' embeddings, None where none can be compared."""
    ours = {tuple(answer["key"]): answer["embedding"] for answer in found}
    cosines = []
    for answer in expected:
        one, other = answer["embedding"], ours.get(tuple(answer["key"]))
        if one is not None and other is not None:
            length = float(np.linalg.norm(one) * np.linalg.norm(other))
            cosines.append(float(np.dot(one, other)) / max(length, 1e-30))
    return float(np.mean(cosines)) if cosines else None
