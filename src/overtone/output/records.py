"""The JSON record of one result: one line per input, the same keys in the same order every time.

Seconds have three decimals, scores six (of a frame: four), confidences four. The text is strict JSON in valid
UTF-8, whatever bytes a file name is made of.
"""

from __future__ import annotations

import itertools
import json
import math
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar, get_args

import numpy as np

from overtone.results import (
    Emotion,
    EmotionResult,
    FrameResult,
    Result,
    SegmentResult,
    Sentence,
    Timings,
    Transcript,
    Word,
)
from overtone.types import SAMPLE_RATE, Granularity

if TYPE_CHECKING:
    import numpy.typing as npt

Detail = Literal["text", "sentence", "word"]
"""Detail of a transcript: all of its text; and its sentences; and their words."""

Level = Literal[Granularity, Detail]
"""Detail of a result. Emotions and transcripts have different words, so a level gives its kind as well."""

DETAILS: Final[tuple[Detail, ...]] = get_args(Detail)

GRANULARITIES: Final[tuple[Granularity, ...]] = get_args(Granularity)

SECOND_DIGITS = 3
SCORE_DIGITS = 6
FRAME_SCORE_DIGITS = 4
CONFIDENCE_DIGITS = 4

_AT_ONCE = 64

# Lone surrogates (bytes of a file name that are not UTF-8) cannot be encoded; some are line ends to many readers, and a
# record is one line; the others a terminal obeys, and would show a record that is not there.
_UNSAFE = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")

_Kind = TypeVar("_Kind", bound=Result)


def expect_type(result: Result, kind: type[_Kind]) -> _Kind:
    """`result` itself. TypeError if it is of another kind than `kind`."""
    if not isinstance(result, kind):
        raise TypeError(f"{kind.__name__} is what is written here, not {type(result).__name__}")
    return result


def to_record(result: Result, *, granularity: Level) -> dict[str, Any]:
    """The record of `result` as a dict in the order of its keys, all of it in memory.

    A failed input has no answer: of an emotion no `label`, `score`, `scores`, `shares`, `speech_s`, `pooled`,
    `segments` or `frames`; of a transcript no `text`, `language`, `speakers` or `sentences`. Numbers that are not
    finite become None, as JSON has no word for them. TypeError for a granularity that is not of the result's kind.
    """
    record = _head(result, granularity)
    if result.ok:
        record |= {key: list(items) for key, items in _lists(result, granularity)}
        if granularity == "frame":
            frames = expect_type(result, EmotionResult).frames
            record["frames"] = None if frames is None else _frames(frames)
    return record | _tail(result)


def json_chunks(result: Result, granularity: Level) -> Iterator[str]:
    """The same record as pieces of text; joined they are one line of JSON, without the line end.

    Segments, sentences and frames are written piece by piece, so a record of any length takes little memory.
    """
    yield to_json(_head(result, granularity))[:-1]
    if result.ok:
        for key, items in _lists(result, granularity):
            yield f', "{key}": ['
            yield from _items(_groups(items))
            yield "]"
        if granularity == "frame":
            frames = expect_type(result, EmotionResult).frames
            yield ', "frames": '
            yield from ["null"] if frames is None else _frame_chunks(frames)
    yield ", " + to_json(_tail(result))[1:]


def to_json(value: Any, *, indent: int | None = None) -> str:
    """Strict JSON that can be encoded as UTF-8 and that no terminal obeys, on one line unless there is an indent.

    ValueError for NaN and infinities.
    """
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, indent=indent)
    return _UNSAFE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def seconds(samples: int) -> float:
    """Samples as seconds with three decimals."""
    return round(samples / SAMPLE_RATE, SECOND_DIGITS)


def segment_record(segment: SegmentResult) -> dict[str, Any]:
    """An entry of a timeline, as records have it."""
    start, end = seconds(segment.span.start), seconds(segment.span.stop)
    return {"start": start, "end": end, "speech_s": rounded(segment.speech_s, SECOND_DIGITS), **_opinion(segment)}


def rounded(value: float | None, digits: int = SCORE_DIGITS) -> float | None:
    """`value` to so many decimals; None for None and for a value that is not finite."""
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


def _head(result: Result, level: Level) -> dict[str, Any]:
    if (level in DETAILS) != isinstance(result, Transcript):
        raise TypeError(f"{type(result).__name__} has no granularity {level!r}")
    record: dict[str, Any] = {"source": result.source}
    for key in ("id", "channel", "channels"):
        if (value := getattr(result, key)) is not None:
            record[key] = value
    record["duration"] = rounded(result.duration, SECOND_DIGITS)
    if not result.ok:
        return record
    if not isinstance(result, Transcript):
        return record | _whole(expect_type(result, EmotionResult))
    record |= {"text": result.text, "language": result.language}
    return record if result.speakers is None else record | {"speakers": result.speakers}


def _lists(result: Result, level: Level) -> Iterator[tuple[str, Iterator[dict[str, Any]]]]:
    """The lists of a record, by key: its timeline, if that is wanted."""
    if not isinstance(result, Transcript):
        if level != "utterance":
            yield "segments", map(segment_record, expect_type(result, EmotionResult).segments)
    elif level != "text":
        yield "sentences", (_sentence(sentence, words=level == "word") for sentence in result.sentences)


def _tail(result: Result) -> dict[str, Any]:
    record: dict[str, Any] = {"model": result.model}
    if isinstance(result, Transcript):
        record["models"] = dict(result.models)
    record |= {
        "precision": result.precision,
        "device": result.device,
        "backend": result.backend,
        "timings": _timings(result.timings),
    }
    if result.warnings:
        record["warnings"] = list(result.warnings)
    error = result.error
    record["error"] = None if error is None else {"code": str(error.code), "message": str(error)}
    return record


def _whole(result: EmotionResult) -> dict[str, Any]:
    return {
        **_opinion(result),
        "shares": _scores(result.shares),
        "speech_s": rounded(result.speech_s, SECOND_DIGITS),
        "pooled": None if result.pooled is None else _opinion(result.pooled),
    }


def _opinion(told: EmotionResult | SegmentResult | Emotion) -> dict[str, Any]:
    return {"label": told.label, "score": rounded(told.score), "scores": _scores(told.scores)}


def _scores(scores: Mapping[str, float] | None) -> dict[str, float | None] | None:
    return None if scores is None else {label: rounded(score) for label, score in scores.items()}


def _sentence(sentence: Sentence, *, words: bool) -> dict[str, Any]:
    """A record of one sentence. Values that were not asked for, or are missing, have no key."""
    start, end = rounded(sentence.start, SECOND_DIGITS), rounded(sentence.end, SECOND_DIGITS)
    record: dict[str, Any] = {"start": start, "end": end, "text": sentence.text}
    if sentence.speaker is not None:
        record["speaker"] = sentence.speaker
    if sentence.emotion is not None:
        record["emotion"] = {key: value for key, value in _opinion(sentence.emotion).items() if value is not None}
    if sentence.language is not None:
        record["language"] = sentence.language
    if sentence.event is not None:
        record["event"] = sentence.event
    record["confidence"] = rounded(sentence.confidence, CONFIDENCE_DIGITS)
    if words:
        record["words"] = [_word(word) for word in sentence.words]
    return record


def _word(word: Word) -> dict[str, Any]:
    record: dict[str, Any] = {
        "text": word.text,
        "start": rounded(word.start, SECOND_DIGITS),
        "end": rounded(word.end, SECOND_DIGITS),
        "confidence": rounded(word.confidence, CONFIDENCE_DIGITS),
    }
    return record if word.speaker is None else record | {"speaker": word.speaker}


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


def _groups(items: Iterator[Any]) -> Iterator[list[Any]]:
    while some := list(itertools.islice(items, _AT_ONCE)):
        yield some


def _items(lists: Iterator[Any]) -> Iterator[str]:
    """The items of several lists as the inside of one JSON array."""
    for index, items in enumerate(lists):
        yield (", " if index else "") + to_json(items)[1:-1]
