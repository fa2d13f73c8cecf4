"""The timeline of one source as arrays. Ten hours have some 26,000 entries, and each would be ten objects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import overload

import numpy as np
import numpy.typing as npt

from overtone.results import SILENCE, SegmentResult
from overtone.types import SAMPLE_RATE, Span

_FIRST_ROWS = 64


class Timeline(Sequence[SegmentResult]):
    """Entries in the order of time, made when they are looked at. Filled in any order; one writer at a time.

    labels: the classes, in the order of scores; empty for a model without classes.
    """

    __slots__ = ("_count", "_edges", "_scores", "_silent", "_speech", "labels")

    def __init__(self, labels: tuple[str, ...]) -> None:
        self.labels = labels
        self._count = 0
        self._edges = np.zeros((_FIRST_ROWS, 2), np.int64)
        self._scores = np.zeros((_FIRST_ROWS, len(labels)), np.float64)
        self._silent = np.zeros(_FIRST_ROWS, np.bool_)
        self._speech = np.zeros(_FIRST_ROWS, np.int64)

    def __getstate__(self) -> dict[str, object]:
        # The rows that there are, and not those it has grown by.
        state = {name: getattr(self, name) for name in self.__slots__}
        return {name: part[: self._count] if isinstance(part, np.ndarray) else part for name, part in state.items()}

    def __setstate__(self, state: dict[str, object]) -> None:
        for name, part in state.items():
            setattr(self, name, part)

    def put(self, index: int, span: Span, scores: npt.NDArray[np.float64] | None, speech: int = 0) -> None:
        """Entry `index`: class scores, shape (classes,), of a stretch that was judged, or None for silence.

        speech: samples of speech in it; none are counted of silence.
        """
        if index >= len(self._edges):
            self._grow(index + 1)
        self._count = max(self._count, index + 1)
        self._edges[index] = span.start, span.stop
        self._silent[index] = scores is None
        if scores is not None:
            self._scores[index] = scores
            self._speech[index] = speech

    def _grow(self, rows: int) -> None:
        more = max(rows, 2 * len(self._edges)) - len(self._edges)
        self._edges = np.pad(self._edges, ((0, more), (0, 0)))
        self._scores = np.pad(self._scores, ((0, more), (0, 0)))
        self._silent = np.pad(self._silent, (0, more))
        self._speech = np.pad(self._speech, (0, more))

    @property
    def scores(self) -> npt.NDArray[np.float64]:
        """Class scores of all entries, (entries, classes); zeros for silence."""
        return self._scores[: self._count]

    @property
    def speech(self) -> npt.NDArray[np.int64]:
        """Samples of speech in each entry, (entries,)."""
        return self._speech[: self._count]

    @property
    def judged(self) -> npt.NDArray[np.int64]:
        """Samples of each entry, (entries,), where it was judged, and 0 where it is silence."""
        edges = self._edges[: self._count]
        return np.where(self._silent[: self._count], 0, edges[:, 1] - edges[:, 0])

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, at: int) -> SegmentResult: ...

    @overload
    def __getitem__(self, at: slice) -> tuple[SegmentResult, ...]: ...

    def __getitem__(self, at: int | slice) -> SegmentResult | tuple[SegmentResult, ...]:
        places = range(self._count)[at]
        return self._entry(places) if isinstance(places, int) else tuple(map(self._entry, places))

    def _entry(self, index: int) -> SegmentResult:
        start, stop = self._edges[index].tolist()
        if self._silent[index]:
            return SegmentResult(Span(start, stop), SILENCE, None, None)
        speech_s = float(self._speech[index] / SAMPLE_RATE)
        return SegmentResult(Span(start, stop), *top_label(self.labels, self._scores[index]), speech_s)

    def __repr__(self) -> str:
        return f"Timeline({len(self)} entries)"


def top_label(
    labels: tuple[str, ...], scores: npt.NDArray[np.float64]
) -> tuple[str | None, float | None, Mapping[str, float] | None]:
    """The best label, its score, and every class's; None for all of them where there are no classes."""
    if not labels:
        return None, None, None
    best = int(scores.argmax())
    return labels[best], float(scores[best]), dict(zip(labels, scores.tolist(), strict=True))
