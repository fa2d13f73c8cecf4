"""Results made for tests: small, complete, with every corner a writer must cope with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from overtone.results import Emotion, EmotionResult, FrameResult, SegmentResult, Sentence, Timings, Transcript, Word
from overtone.system.spooled_array import SpooledArray
from overtone.types import SAMPLE_RATE, Span

LABELS = ("angry", "happy", "neutral")


def segment(start: int, stop: int, scores: Sequence[float] | None, labels: Sequence[str] = LABELS) -> SegmentResult:
    """A stretch of `scores`, or of silence where they are None."""
    if scores is None:
        return SegmentResult(Span(start, stop), "silence", None, None)
    best = int(np.argmax(scores))
    told = dict(zip(labels, scores, strict=True))
    return SegmentResult(Span(start, stop), labels[best], scores[best], told, (stop - start) / SAMPLE_RATE)


def result(source: str = "call.mp3", **changes: Any) -> EmotionResult:
    """Three seconds: angry, silence, happy; whatever `changes` says instead."""
    fields: dict[str, Any] = {
        "source": source,
        "duration": 3.0,
        "label": "angry",
        "score": 0.6,
        "scores": dict(zip(LABELS, (0.6, 0.3, 0.1), strict=True)),
        "shares": dict(zip(LABELS, (0.5, 0.5, 0.0), strict=True)),
        "speech_s": 2.0,
        "pooled": Emotion("happy", 0.5, dict(zip(LABELS, (0.4, 0.5, 0.1), strict=True))),
        "segments": [
            segment(0, 16_000, (0.83, 0.07, 0.1)),
            segment(16_000, 32_000, None),
            segment(32_000, 48_000, (0.2, 0.7, 0.1)),
        ],
        "model": "tiny",
        "precision": "fp32",
        "device": "cpu",
        "backend": "openvino",
        "timings": Timings(total_s=0.25),
    }
    return EmotionResult(**(fields | changes))


def failed(source: str = "broken.wav", error: Any = None, **changes: Any) -> EmotionResult:
    """An input that could not be read."""
    from overtone.errors import InputError

    error = error or InputError(f"{source}: not audio", code="not_audio")
    nothing: dict[str, Any] = {"duration": 0.0, "label": None, "score": None, "scores": None, "segments": []}
    nothing |= {"shares": None, "speech_s": 0.0, "pooled": None}
    return result(source, error=error, **(nothing | changes))


@contextmanager
def frames(count: int, labels: Sequence[str] = LABELS, dim: int = 4) -> Iterator[FrameResult]:
    """`count` frames of 20 ms from the start, closed at the end."""
    rng = np.random.default_rng(count)
    starts, embeddings = SpooledArray(None, np.int64), SpooledArray(dim)
    scores = SpooledArray(len(labels)) if labels else None
    try:
        starts.append(np.arange(count) * 320)
        embeddings.append(rng.normal(size=(count, dim)).astype(np.float32))
        if scores is not None:
            scores.append(rng.dirichlet(np.ones(len(labels)), count).astype(np.float32))
        yield FrameResult(0.02, tuple(labels), starts, scores, embeddings)
    finally:
        for spool in (starts, embeddings, scores):
            if spool is not None:
                spool.close()


def words(text: str, start: float, end: float, speaker: int | None = None) -> tuple[Word, ...]:
    """The words of `text`, without marks and equally long; each character of a Chinese text is one."""
    bare = "".join(c if c.isalnum() else " " for c in text)
    found = bare.split() if bare.isascii() else [c for c in bare if c != " "]
    step = (end - start) / max(len(found), 1)
    return tuple(Word(w, start + i * step, start + (i + 1) * step, 0.9, speaker) for i, w in enumerate(found))


def sentence(start: float, end: float, text: str, **changes: Any) -> Sentence:
    """A sentence with words and their times; whatever `changes` says instead."""
    fields: dict[str, Any] = {"words": words(text, start, end, changes.get("speaker")), "confidence": 0.9}
    return Sentence(start, end, text, **(fields | changes))


def transcript(source: str = "call.mp3", **changes: Any) -> Transcript:
    """Six seconds of two speakers, in two languages and moods; whatever `changes` says instead."""
    fields: dict[str, Any] = {
        "source": source,
        "duration": 6.0,
        "text": "Hello, who is it? 是我。",
        "sentences": [
            sentence(0.5, 2.5, "Hello, who is it?", speaker=0, language="en", emotion=Emotion("neutral")),
            sentence(3.0, 4.0, "是我。", speaker=1, language="zh", emotion=Emotion("happy", 0.75, {"happy": 0.75})),
            sentence(5.0, 6.0, "", speaker=None, words=(), confidence=None, event="Laughter"),
        ],
        "language": "en",
        "speakers": 2,
        "model": "sensevoice-small",
        "models": {"vad": "fsmn-vad", "speakers": "campplus"},
        "precision": "fp32",
        "device": "cpu",
        "backend": "openvino",
        "timings": Timings(total_s=0.25),
    }
    return Transcript(**(fields | changes))


def failed_transcript(source: str = "broken.wav", **changes: Any) -> Transcript:
    """An input that could not be read."""
    from overtone.errors import InputError

    nothing: dict[str, Any] = {"duration": 0.0, "text": "", "sentences": [], "language": None, "speakers": None}
    error = InputError(f"{source}: not audio", code="not_audio")
    return transcript(source, **(nothing | {"error": error} | changes))
