"""Emotions as rows: one per input, per segment or per frame."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import numpy as np

from overtone.output.formats.table import ERROR, WHO, Cell, Column, Kind, Table
from overtone.output.records import SECOND_DIGITS, expect_type, frame_scores, frame_starts, rounded, seconds
from overtone.results import SILENCE, Emotion, EmotionResult, FrameResult, Result
from overtone.types import Granularity

_WHERE: Final[dict[Granularity, tuple[str, ...]]] = {
    "utterance": ("duration", "speech_s"),
    "segment": ("start", "end", "speech_s"),
    "frame": ("start", "end"),
}

_WHOLE = ("share", "pooled")
"""Prefixes of the classes' further columns, of whole inputs."""


class EmotionRows(Table):
    """Table of label and score, then the classes of the model, or the caller's in the caller's order.

    A class with the name of another column gets the prefix `score_`. Of whole inputs there are the shares of their
    speaking time as well, and what the mean frame is: columns with the prefixes `share_` and `pooled_`.
    """

    def __init__(self, granularity: Granularity, labels: Sequence[str]) -> None:
        where = _WHERE[granularity]
        whole = granularity == "utterance"
        kind: Kind = "share" if granularity == "frame" else "score"
        taken = {column.name for column in (*WHO, *ERROR)} | {*where, "label", "score"}
        if whole:
            taken |= {"pooled_label", "pooled_score", *(f"{prefix}_{label}" for prefix in _WHOLE for label in labels)}
        classes = [f"score_{label}" if label in taken else label for label in labels]
        own = [*(Column(name, "seconds") for name in where), Column("label", "text")]
        own += (Column(name, kind) for name in ("score", *classes))
        if whole:
            own += (Column(f"share_{name}", kind) for name in classes)
            own += (Column("pooled_label", "text"), *(Column(f"pooled_{name}", kind) for name in ("score", *classes)))
        super().__init__(granularity, own)
        self._labels = labels

    def _cells(self, result: Result) -> Iterator[tuple[Cell, ...]]:
        emotion = expect_type(result, EmotionResult)
        end = rounded(emotion.duration, SECOND_DIGITS)
        speech_s = rounded(emotion.speech_s, SECOND_DIGITS)
        whole = self._told(emotion)
        if self.level == "utterance":
            yield (end, speech_s, *whole, *self._classes(emotion.shares), *self._told(emotion.pooled))
            return
        empty = True
        for cells in self._segments(emotion) if self.level == "segment" else self._frames(emotion.frames):
            empty = False
            yield cells
        if empty:
            yield (0.0, end, *((speech_s,) if self.level == "segment" else ()), *whole)

    def _told(self, told: EmotionResult | Emotion | None) -> tuple[Cell, ...]:
        if told is None:
            return (None,) * (2 + len(self._labels))
        return (told.label, rounded(told.score), *self._classes(told.scores))

    def _classes(self, scores: Mapping[str, float] | None) -> tuple[Cell, ...]:
        return tuple(None if scores is None else rounded(scores.get(label)) for label in self._labels)

    def _segments(self, result: EmotionResult) -> Iterator[tuple[Cell, ...]]:
        for segment in result.segments:
            when = (seconds(segment.span.start), seconds(segment.span.stop))
            speech_s = rounded(segment.speech_s, SECOND_DIGITS)
            score = None if segment.label == SILENCE else rounded(segment.score)
            yield (*when, speech_s, segment.label, score, *self._classes(segment.scores))

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
