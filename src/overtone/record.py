"""The JSON record of one result: one line per input, the same keys in the same order every time.

Seconds have three decimals, scores six (of a frame: four). The text is strict JSON in valid UTF-8, whatever
bytes a file name is made of.
"""

from __future__ import annotations

import itertools
import json
import math
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from overtone.values import SAMPLE_RATE, EmotionResult, FrameResult, Granularity, SegmentResult, Timings

if TYPE_CHECKING:
    import numpy.typing as npt

SECOND_DIGITS = 3
SCORE_DIGITS = 6
FRAME_SCORE_DIGITS = 4

_SEGMENTS_AT_ONCE = 256

# Lone surrogates (bytes of a file name that are not UTF-8) cannot be encoded; the other three are
# line ends to many readers, and a record is one line.
_UNSAFE = re.compile("[\x85\u2028\u2029\ud800-\udfff]")


def to_record(result: EmotionResult, *, granularity: Granularity) -> dict[str, Any]:
    """The record of `result` as a dict in the order of its keys, all of it in memory.

    A failed input has no `label`, `score`, `scores`, `segments` or `frames`. Numbers that are not finite
    become None, as JSON has no word for them.
    """
    record = _head(result)
    if granularity != "utterance" and result.ok:
        record["segments"] = [_segment(segment) for segment in result.segments]
    if granularity == "frame" and result.ok:
        record["frames"] = None if result.frames is None else _frames(result.frames)
    return record | _tail(result)


def json_chunks(result: EmotionResult, granularity: Granularity) -> Iterator[str]:
    """The same record as pieces of text; joined they are one line of JSON, without the line end.

    Segments and frames are written piece by piece, so a record of any length takes little memory.
    """
    yield to_json(_head(result))[:-1]
    if granularity != "utterance" and result.ok:
        segments, separator = iter(result.segments), ', "segments": ['
        while some := list(itertools.islice(segments, _SEGMENTS_AT_ONCE)):
            yield separator + ", ".join(to_json(_segment(segment)) for segment in some)
            separator = ", "
        yield "]" if separator == ", " else separator + "]"
    if granularity == "frame" and result.ok:
        yield ', "frames": '
        yield from ["null"] if result.frames is None else _frame_chunks(result.frames)
    yield ", " + to_json(_tail(result))[1:]


def to_json(value: Any) -> str:
    """Strict JSON on one line that can be encoded as UTF-8. ValueError for NaN and infinities."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    return _UNSAFE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def seconds(samples: int) -> float:
    """Samples as seconds with three decimals."""
    return round(samples / SAMPLE_RATE, SECOND_DIGITS)


def rounded(value: float | None, digits: int = SCORE_DIGITS) -> float | None:
    """`value` to so many decimals; None for None and for what is not finite."""
    if value is None or not math.isfinite(value):
        return None
    return round(float(value), digits)


def frame_scores(rows: npt.NDArray[Any]) -> list[list[float | None]]:
    """Rows of frame scores, shape (frames, classes), as lists with four decimals."""
    tidy = np.round(rows.astype(np.float64), FRAME_SCORE_DIGITS)
    if not np.isfinite(tidy).all():
        return [[rounded(value, FRAME_SCORE_DIGITS) for value in row] for row in tidy.tolist()]
    lists: list[list[float | None]] = tidy.tolist()
    return lists


def _head(result: EmotionResult) -> dict[str, Any]:
    record: dict[str, Any] = {"source": result.source}
    for key in ("id", "channel", "channels"):
        if (value := getattr(result, key)) is not None:
            record[key] = value
    record["duration"] = rounded(result.duration, SECOND_DIGITS)
    if result.ok:
        record |= {"label": result.label, "score": rounded(result.score), "scores": _scores(result.scores)}
    return record


def _tail(result: EmotionResult) -> dict[str, Any]:
    record: dict[str, Any] = {
        "model": result.model,
        "precision": result.precision,
        "device": result.device,
        "backend": result.backend,
        "timings": _timings(result.timings),
    }
    if result.warnings:
        record["warnings"] = list(result.warnings)
    error = result.error
    record["error"] = None if error is None else {"code": error.code, "message": str(error)}
    return record


def _scores(scores: Mapping[str, float] | None) -> dict[str, float | None] | None:
    return None if scores is None else {label: rounded(score) for label, score in scores.items()}


def _segment(segment: SegmentResult) -> dict[str, Any]:
    return {
        "start": seconds(segment.span.start),
        "end": seconds(segment.span.stop),
        "label": segment.label,
        "score": rounded(segment.score),
        "scores": _scores(segment.scores),
    }


def _timings(timings: Timings) -> dict[str, Any]:
    stages = ("decode_s", "cut_s", "wait_s", "run_s", "merge_s", "total_s")
    record: dict[str, Any] = {stage: rounded(getattr(timings, stage), SECOND_DIGITS) for stage in stages}
    if timings.notes:
        record["notes"] = list(timings.notes)
    return record


def _frames(frames: FrameResult) -> dict[str, Any]:
    starts = [start for chunk in frames.starts.chunks() for start in frame_starts(chunk)]
    scores = None
    if frames.scores is not None:
        scores = [row for chunk in frames.scores.chunks() for row in frame_scores(chunk)]
    return {"hop": frames.hop_s, "labels": list(frames.labels), "starts": starts, "scores": scores}


def frame_starts(starts: npt.NDArray[Any]) -> list[float]:
    """First samples of frames, shape (frames,), as seconds with three decimals, rounded as spans are."""
    return [round(start, SECOND_DIGITS) for start in (starts / SAMPLE_RATE).tolist()]


def _frame_chunks(frames: FrameResult) -> Iterator[str]:
    yield to_json({"hop": frames.hop_s, "labels": list(frames.labels)})[:-1] + ', "starts": ['
    yield from _items(frame_starts(chunk) for chunk in frames.starts.chunks())
    if frames.scores is None:
        yield '], "scores": null}'
        return
    yield '], "scores": ['
    yield from _items(frame_scores(chunk) for chunk in frames.scores.chunks())
    yield "]}"


def _items(lists: Iterator[Any]) -> Iterator[str]:
    """The items of several lists as the inside of one JSON array."""
    for index, items in enumerate(lists):
        yield (", " if index else "") + to_json(items)[1:-1]
