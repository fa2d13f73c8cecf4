"""Results read back from the records of `overtone.output.records`, as far as a record says what was in them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from overtone.errors import InputError
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
from overtone.types import SAMPLE_RATE, Span


def parse_record(record: Mapping[str, Any]) -> Result:
    """The result that a record was written from, as far as the record says.

    A record has its numbers rounded and holds no embeddings.
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
    return EmotionResult(
        **about,
        label=record.get("label"),
        score=record.get("score"),
        scores=record.get("scores"),
        segments=[_segment(entry) for entry in record.get("segments") or ()],
        frames=None if record.get("frames") is None else _frames(record["frames"]),
    )


def _sentence(entry: Mapping[str, Any]) -> Sentence:
    mood = entry.get("emotion")
    return Sentence(
        entry["start"],
        entry["end"],
        entry["text"],
        tuple(Word(word["text"], word["start"], word["end"], word["confidence"]) for word in entry.get("words", ())),
        entry.get("speaker"),
        None if mood is None else Emotion(mood["label"], mood.get("score"), mood.get("scores")),
        entry.get("language"),
        entry.get("event"),
        entry["confidence"],
    )


def _segment(entry: Mapping[str, Any]) -> SegmentResult:
    span = Span(_samples(entry["start"]), _samples(entry["end"]))
    return SegmentResult(span, entry["label"], entry["score"], entry["scores"])


def _samples(seconds: float) -> int:
    return round(seconds * SAMPLE_RATE)


def _frames(entry: Mapping[str, Any]) -> FrameResult:
    labels = tuple(entry["labels"])
    starts, embeddings = SpooledArray(None, np.int64), SpooledArray(0)
    starts.append(np.array([_samples(start) for start in entry["starts"]], np.int64))
    scores = None
    if entry["scores"] is not None:
        scores = SpooledArray(len(labels))
        scores.append(np.array(entry["scores"], np.float32).reshape(-1, len(labels)))
    return FrameResult(entry["hop"], labels, starts, scores, embeddings)
