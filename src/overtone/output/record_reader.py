"""Results read back from the records of `overtone.output.records`, as far as a record says what was in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from overtone.errors import InputError
from overtone.results import (
    SILENCE,
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
from overtone.types import SAMPLE_RATE, Span


def parse_record(record: Mapping[str, Any]) -> Result:
    """The result that a record was written from, as far as the record says.

    A record has its numbers rounded and holds no embeddings. In one of an earlier version `label`, `score` and `scores`
    are of the mean frame: they stay, and are `pooled` as well. There are no `shares`, and what was judged counts as
    speech.
    """
    error = record["error"]
    about: dict[str, Any] = {
        "source": record["source"],
        "id": record.get("id"),
        "channel": record.get("channel"),
        "channels": record.get("channels"),
        "duration": record["duration"],
        "model": record["model"],
        "precision": record["precision"],
        "device": record["device"],
        "backend": record["backend"],
        "timings": Timings(**{**record["timings"], "notes": tuple(record["timings"].get("notes", ()))}),
        "warnings": tuple(record.get("warnings", ())),
        "error": None if error is None else InputError(error["message"], code=error["code"]),
    }
    if "models" in record:
        return Transcript(
            **about,
            text=record.get("text", ""),
            sentences=[_sentence(entry) for entry in record.get("sentences") or ()],
            language=record.get("language"),
            speakers=record.get("speakers"),
            models=record["models"],
        )
    segments = [_segment(entry) for entry in record.get("segments") or ()]
    return EmotionResult(
        **about,
        label=record.get("label"),
        score=record.get("score"),
        scores=record.get("scores"),
        shares=record.get("shares"),
        speech_s=record["speech_s"] if "speech_s" in record else _judged_s(record, segments),
        pooled=_emotion(record.get("pooled", record)),
        segments=segments,
        frames=None if record.get("frames") is None else _frames(record["frames"]),
    )


def _judged_s(record: Mapping[str, Any], segments: Sequence[SegmentResult]) -> float:
    """Seconds that were judged, for a record of an earlier version, which counted all of them as speech."""
    if segments:
        return sum(segment.speech_s for segment in segments)
    return 0.0 if record.get("label") in (None, SILENCE) else float(record["duration"])


def _emotion(entry: Mapping[str, Any] | None) -> Emotion | None:
    if entry is None or entry.get("label") in (None, SILENCE):
        return None
    return Emotion(entry["label"], entry.get("score"), entry.get("scores"))


def _sentence(entry: Mapping[str, Any]) -> Sentence:
    return Sentence(
        entry["start"],
        entry["end"],
        entry["text"],
        tuple(
            Word(word["text"], word["start"], word["end"], word["confidence"], word.get("speaker"))
            for word in entry.get("words", ())
        ),
        entry.get("speaker"),
        _emotion(entry.get("emotion")),
        entry.get("language"),
        entry.get("event"),
        entry["confidence"],
    )


def _segment(entry: Mapping[str, Any]) -> SegmentResult:
    span = Span(_samples(entry["start"]), _samples(entry["end"]))
    heard_s = 0.0 if entry["label"] == SILENCE else len(span) / SAMPLE_RATE
    return SegmentResult(span, entry["label"], entry["score"], entry["scores"], entry.get("speech_s", heard_s))


def _samples(seconds: float) -> int:
    return round(seconds * SAMPLE_RATE)


def _frames(entry: Mapping[str, Any]) -> FrameResult:
    labels = tuple(entry["labels"])
    # The record has them in memory already, at ten times the size.
    starts, embeddings = SpooledArray(None, np.int64, in_memory=True), SpooledArray(0)
    starts.append(np.array([_samples(start) for start in entry["starts"]], np.int64))
    scores = None
    if entry["scores"] is not None:
        scores = SpooledArray(len(labels), in_memory=True)
        scores.append(np.array(entry["scores"], np.float32).reshape(-1, len(labels)))
    return FrameResult(entry["hop"], labels, starts, scores, embeddings)
