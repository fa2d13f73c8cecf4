"""Records read back, and written in another form: tables, subtitles, text."""

from __future__ import annotations

import json
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from overtone.errors import InputError, UsageError
from overtone.output.formats import open_sink
from overtone.output.records import Level
from overtone.system.files import iter_chunks
from overtone.system.spooled_array import SpooledArray
from overtone.types import (
    SAMPLE_RATE,
    Emotion,
    EmotionResult,
    FrameResult,
    Result,
    SegmentResult,
    Sentence,
    Span,
    Timings,
    Transcript,
    Word,
)

Form = Literal["parquet", "csv", "srt", "vtt", "txt"]

TIMELINES: tuple[Form, ...] = ("srt", "vtt", "txt")
"""Forms that hold one file's timeline."""


def convert_records(
    pieces: Iterable[bytes], path: Path, form: Form, level: Level, labels: Sequence[str]
) -> Generator[bytes, None, None]:
    """Records, JSON lines in pieces, in another form in pieces. It is made before this returns, and unnamed after.

    path: where it is made. level: how fine the records are. UsageError where pyarrow is needed and not installed, and
    for a timeline of more than one record, or of one without a timeline.
    """
    if form in TIMELINES and level in ("utterance", "text"):
        raise UsageError(f"it was asked for without a timeline, which {form} is made of; take JSON lines.")
    try:
        with open_sink(str(path), granularity=level, labels=labels, format=form, many=form not in TIMELINES) as sink:
            for at, line in enumerate(_lines(pieces)):
                if at and form in TIMELINES:
                    raise UsageError(f"{form} holds one timeline; say of which file with `file`, or take JSON lines.")
                sink.write(parse_record(json.loads(line)))
        # Of a file without an answer there is no timeline.
        return iter_chunks(open(path, "rb")) if path.exists() else _nothing()
    finally:
        path.unlink(missing_ok=True)


def _nothing() -> Generator[bytes, None, None]:
    yield from ()


def _lines(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Lines, joined once each however many pieces they came in."""
    begun: list[bytes] = []
    for piece in pieces:
        first, *others = piece.split(b"\n")
        begun.append(first)
        for other in others:
            yield b"".join(begun)
            begun = [other]
    if last := b"".join(begun):
        yield last


def parse_record(record: Mapping[str, Any]) -> Result:
    """The result that a record was written from, as far as it says; see `overtone.output.records`."""
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
