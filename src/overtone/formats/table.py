"""Results as rows: one per input, per segment or per frame, the same for CSV and Parquet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from overtone.record import (
    SECOND_DIGITS,
    frame_scores,
    frame_starts,
    rounded,
    seconds,
)
from overtone.values import SILENCE, EmotionResult, FrameResult, Granularity

Cell: TypeAlias = "str | int | float | None"
Kind = Literal["text", "integer", "seconds", "score"]


@dataclass(frozen=True, slots=True)
class Column:
    """A column and what its cells are: str, int, or float; any cell may be None."""

    name: str
    kind: Kind


def columns(granularity: Granularity, labels: Sequence[str]) -> list[Column]:
    """The columns of a table, in order; the classes of the model come after `score`.

    A class named as another column is gets the prefix `score_`.
    """
    where = ["duration"] if granularity == "utterance" else ["start", "end"]
    first = [Column("source", "text"), Column("id", "text"), Column("channel", "integer")]
    first += [Column(name, "seconds") for name in where]
    first += [Column("label", "text"), Column("score", "score")]
    last = [Column("error_code", "text"), Column("error_message", "text")]
    taken = {column.name for column in first + last}
    classes = [Column(f"score_{label}" if label in taken else label, "score") for label in labels]
    return first + classes + last


def rows(result: EmotionResult, granularity: Granularity, labels: Sequence[str]) -> Iterator[tuple[Cell, ...]]:
    """The rows of one result, at least one: a failed input has one with its error.

    Seconds have three decimals, scores six (of frames: four). Frames are read piece by piece.
    """
    who = (result.source, result.id, result.channel)
    end = rounded(result.duration, SECOND_DIGITS)
    whole: tuple[Cell, ...] = (result.label, rounded(result.score), *_classes(result.scores, labels))
    if result.error is not None:
        blank = (None,) * (2 + len(labels))
        when: tuple[Cell, ...] = (end,) if granularity == "utterance" else (None, None)
        yield (*who, *when, *blank, result.error.code, str(result.error))
        return
    if granularity == "utterance":
        yield (*who, end, *whole, None, None)
        return
    parts = _segments(result, labels) if granularity == "segment" else _frames(result.frames, labels)
    empty = True
    for part in parts:
        empty = False
        yield (*who, *part, None, None)
    if empty:
        yield (*who, 0.0, end, *whole, None, None)


def _classes(scores: Mapping[str, float] | None, labels: Sequence[str]) -> tuple[Cell, ...]:
    return tuple(None if scores is None else rounded(scores.get(label)) for label in labels)


def _segments(result: EmotionResult, labels: Sequence[str]) -> Iterator[tuple[Cell, ...]]:
    for segment in result.segments:
        when = (seconds(segment.span.start), seconds(segment.span.stop))
        score = None if segment.label == SILENCE else rounded(segment.score)
        yield (*when, segment.label, score, *_classes(segment.scores, labels))


def _frames(frames: FrameResult | None, labels: Sequence[str]) -> Iterator[tuple[Cell, ...]]:
    if frames is None:
        return
    blank = (None,) * (2 + len(labels))
    # A table has the caller's classes in the caller's order; frames have their own.
    order = [frames.labels.index(label) if label in frames.labels else None for label in labels]
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
