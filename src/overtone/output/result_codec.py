"""Results as lines of JSON that lose nothing, unlike records, whose numbers are rounded: what a run goes on from.

    {"result": {…}}                  everything but lists; then lines of a few entries each:
    {"segments": […]} {"sentences": […]}
    {"frames": ["…", "…"]}           starts and scores of some frames, as base64

A result of hours is written and read a line at a time; its frames go through a spool. Embeddings are not kept.
"""

from __future__ import annotations

import base64
import dataclasses
import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from overtone.output.json_text import parse_json
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
from overtone.system.spooled_array import SpooledArray
from overtone.types import Span

HEAD = b'{"result": '
"""The beginning of the first line of a result."""

PARTS = (b'{"segments": ', b'{"sentences": ', b'{"frames": ')
"""The beginnings of its other lines."""

_AT_ONCE = 16

_ABOUT = ("source", "duration", "model", "precision", "device", "backend", "id", "channel", "channels")

_VERDICT = ("label", "score", "scores", "shares", "speech_s")


def encode(result: Result) -> Iterator[str]:
    """The lines of a result that has no error, each with its line end."""
    head: dict[str, Any] = {name: getattr(result, name) for name in _ABOUT}
    head |= {"warnings": result.warnings, "timings": dataclasses.asdict(result.timings)}
    if isinstance(result, Transcript):
        own = {"text": result.text, "language": result.language, "speakers": result.speakers}
        yield _line("result", {**head, **own, "models": dict(result.models)})
        yield from _lines("sentences", map(_sentence, result.sentences))
        return
    assert isinstance(result, EmotionResult)
    head |= {name: getattr(result, name) for name in _VERDICT}
    head["pooled"] = None if result.pooled is None else dataclasses.asdict(result.pooled)
    if (frames := result.frames) is not None:
        head["frames"] = {"hop": frames.hop_s, "labels": frames.labels, "scored": frames.scores is not None}
    yield _line("result", head)
    yield from _lines("segments", map(_segment, result.segments))
    if frames is not None:
        scores = itertools.repeat(None) if frames.scores is None else frames.scores.chunks()
        for starts, some in zip(frames.starts.chunks(), scores, strict=False):
            yield _line("frames", [_packed(starts, "<i8"), None if some is None else _packed(some, "<f4")])


def decode(lines: Iterable[bytes]) -> Result:
    """The result that those lines are of. ValueError, KeyError or TypeError if they are of none."""
    parts = iter(lines)
    head = parse_json(next(parts))["result"]
    about = {name: head[name] for name in _ABOUT}
    timings = Timings(**{**head["timings"], "notes": tuple(head["timings"]["notes"])})
    about |= {"warnings": tuple(head["warnings"]), "timings": timings}
    if "models" in head:
        own = {name: head[name] for name in ("text", "language", "speakers", "models")}
        return Transcript(**about, **own, sentences=[_read_sentence(item) for item in _items(parts, "sentences")])
    segments: list[SegmentResult] = []
    frames = None if "frames" not in head else _no_frames(head["frames"])
    for line in parts:
        part = parse_json(line)
        if "segments" in part:
            segments += map(_read_segment, part["segments"])
        else:
            _add_frames(frames, *part["frames"])
    own = {name: head[name] for name in _VERDICT}
    return EmotionResult(**about, **own, pooled=_read_emotion(head["pooled"]), segments=segments, frames=frames)


def _line(key: str, value: Any) -> str:
    return json.dumps({key: value}, default=lambda number: number.item()) + "\n"


def _lines(key: str, items: Iterator[Any]) -> Iterator[str]:
    while some := list(itertools.islice(items, _AT_ONCE)):
        yield _line(key, some)


def _items(lines: Iterable[bytes], key: str) -> Iterator[Any]:
    for line in lines:
        yield from parse_json(line)[key]


def _segment(segment: SegmentResult) -> list[Any]:
    return [segment.span.start, segment.span.stop, segment.label, segment.score, segment.scores, segment.speech_s]


def _read_segment(item: Sequence[Any]) -> SegmentResult:
    start, stop, *told = item
    return SegmentResult(Span(start, stop), *told)


def _sentence(sentence: Sentence) -> dict[str, Any]:
    return dataclasses.asdict(sentence)


def _read_sentence(item: Mapping[str, Any]) -> Sentence:
    words = tuple(Word(**word) for word in item["words"])
    return Sentence(**{**item, "words": words, "emotion": _read_emotion(item["emotion"])})


def _read_emotion(item: Mapping[str, Any] | None) -> Emotion | None:
    return None if item is None else Emotion(**item)


def _no_frames(head: Mapping[str, Any]) -> FrameResult:
    labels = tuple(head["labels"])
    scores = SpooledArray(len(labels)) if head["scored"] else None
    return FrameResult(head["hop"], labels, SpooledArray(None, np.int64), scores, SpooledArray(0))


def _add_frames(frames: FrameResult | None, starts: str, scores: str | None) -> None:
    if frames is None or (scores is None) != (frames.scores is None):
        raise ValueError("frames where there should be none")
    frames.starts.append(np.frombuffer(base64.b64decode(starts, validate=True), "<i8"))
    if frames.scores is not None and scores is not None:
        flat = np.frombuffer(base64.b64decode(scores, validate=True), "<f4")
        frames.scores.append(flat.reshape(-1, len(frames.labels)))


def _packed(rows: npt.NDArray[Any], dtype: str) -> str:
    return base64.b64encode(np.ascontiguousarray(rows, dtype).tobytes()).decode("ascii")
