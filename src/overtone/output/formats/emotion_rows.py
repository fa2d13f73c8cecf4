"""Emotions as rows: one per input, per segment or per frame."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from overtone.output.formats.table import ERROR, WHO, Cell, Column, Table
from overtone.output.records import SECOND_DIGITS, expect_type, frame_scores, frame_starts, rounded, seconds
from overtone.results import SILENCE, EmotionResult, FrameResult, Result
from overtone.types import Granularity


class EmotionRows(Table):
    """Table of label and score, then the classes of the model, or the caller's in the caller's order.

    A class with the name of another column gets the prefix `score_`.
    """

    def __init__(self, granularity: Granularity, labels: Sequence[str]) -> None:
        where = ("duration",) if granularity == "utterance" else ("start", "end")
        first = [*(Column(name, "seconds") for name in where), Column("label", "text")]
        taken = {column.name for column in (*WHO, *first, *ERROR)} | {"score"}
        names = ["score", *(f"score_{label}" if label in taken else label for label in labels)]
        super().__init__(
            granularity, [*first, *(Column(name, "share" if granularity == "frame" else "score") for name in names)]
        )
        self._labels = labels

    def _cells(self, result: Result) -> Iterator[tuple[Cell, ...]]:
        emotion = expect_type(result, EmotionResult)
        end = rounded(emotion.duration, SECOND_DIGITS)
        whole: tuple[Cell, ...] = (emotion.label, rounded(emotion.score), *self._classes(emotion.scores))
        if self.level == "utterance":
            yield (end, *whole)
            return
        empty = True
        for cells in self._segments(emotion) if self.level == "segment" else self._frames(emotion.frames):
            empty = False
            yield cells
        if empty:
            yield (0.0, end, *whole)

    def _classes(self, scores: Mapping[str, float] | None) -> tuple[Cell, ...]:
        return tuple(None if scores is None else rounded(scores.get(label)) for label in self._labels)

    def _segments(self, result: EmotionResult) -> Iterator[tuple[Cell, ...]]:
        for segment in result.segments:
            when = (seconds(segment.span.start), seconds(segment.span.stop))
            score = None if segment.label == SILENCE else rounded(segment.score)
            yield (*when, segment.label, score, *self._classes(segment.scores))

    def _frames(self, frames: FrameResult | None) -> Iterator[tuple[Cell, ...]]:
        if frames is None:
            return
        blank = (None,) * (2 + len(self._labels))
        # A table has the caller's classes in the caller's order; frames have their own.
        order = [frames.labels.index(label) if label in frames.labels else None for label in self._labels]
        if frames.scores is None:
            for starts in frames.starts.chunks():
                for start in frame_starts(starts):
                    yield (start, round(start + frames.hop_s, SECOND_DIGITS), *blank)
            return
        for starts, scores in zip(frames.starts.chunks(), frames.scores.chunks(), strict=True):
            best = np.argmax(scores, axis=1).tolist()
            for start, top, row in zip(frame_starts(starts), best, frame_scores(scores), strict=True):
                end = round(start + frames.hop_s, SECOND_DIGITS)
                cells = (None if at is None else row[at] for at in order)
                yield (start, end, frames.labels[top], row[top], *cells)
