"""The records of a job as a table: read back, and written as Parquet."""

from __future__ import annotations

import json
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from overtone.errors import InputError
from overtone.formats import open_sink
from overtone.server.reading import in_pieces
from overtone.spool import FrameSpool
from overtone.values import SAMPLE_RATE, EmotionResult, FrameResult, Granularity, SegmentResult, Span, Timings


def parquet_of(
    pieces: Iterable[bytes], path: Path, granularity: Granularity, labels: Sequence[str]
) -> Generator[bytes, None, None]:
    """Records, JSON lines in pieces, as a Parquet file in pieces. It is made before this returns, and unnamed after.

    path: where it is made. UsageError where pyarrow is not installed.
    """
    try:
        with open_sink(str(path), granularity=granularity, labels=labels, format="parquet") as sink:
            for line in _lines(pieces):
                sink.write(read_record(json.loads(line)))
        return in_pieces(open(path, "rb"))
    finally:
        path.unlink(missing_ok=True)


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


def read_record(record: Mapping[str, Any]) -> EmotionResult:
    """The result that a record was written from, as far as it says; see `overtone.record`."""
    error = record["error"]
    return EmotionResult(
        source=record["source"],
        id=record.get("id"),
        channel=record.get("channel"),
        channels=record.get("channels"),
        duration=record["duration"],
        label=record.get("label"),
        score=record.get("score"),
        scores=record.get("scores"),
        segments=[_segment(entry) for entry in record.get("segments") or ()],
        model=record["model"],
        precision=record["precision"],
        device=record["device"],
        backend=record["backend"],
        timings=Timings(**{**record["timings"], "notes": tuple(record["timings"].get("notes", ()))}),
        warnings=tuple(record.get("warnings", ())),
        error=None if error is None else InputError(error["message"], code=error["code"]),
        frames=None if record.get("frames") is None else _frames(record["frames"]),
    )


def _segment(entry: Mapping[str, Any]) -> SegmentResult:
    span = Span(_samples(entry["start"]), _samples(entry["end"]))
    return SegmentResult(span, entry["label"], entry["score"], entry["scores"])


def _samples(seconds: float) -> int:
    return round(seconds * SAMPLE_RATE)


def _frames(entry: Mapping[str, Any]) -> FrameResult:
    labels = tuple(entry["labels"])
    starts, embeddings = FrameSpool(None, np.int64), FrameSpool(0)
    starts.append(np.array([_samples(start) for start in entry["starts"]], np.int64))
    scores = None
    if entry["scores"] is not None:
        scores = FrameSpool(len(labels))
        scores.append(np.array(entry["scores"], np.float32).reshape(-1, len(labels)))
    return FrameResult(entry["hop"], labels, starts, scores, embeddings)
