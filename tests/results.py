"""Results made for tests: small, complete, with every corner a writer must cope with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from overtone.spool import FrameSpool
from overtone.values import EmotionResult, FrameResult, SegmentResult, Span, Timings

LABELS = ("angry", "happy", "neutral")


def segment(start: int, stop: int, scores: Sequence[float] | None, labels: Sequence[str] = LABELS) -> SegmentResult:
    """A stretch of `scores`, or of silence where they are None."""
    if scores is None:
        return SegmentResult(Span(start, stop), "silence", None, None)
    best = int(np.argmax(scores))
    return SegmentResult(Span(start, stop), labels[best], scores[best], dict(zip(labels, scores, strict=True)))


def result(source: str = "call.mp3", **changes: Any) -> EmotionResult:
    """Three seconds: angry, silence, happy; whatever `changes` says instead."""
    fields: dict[str, Any] = {
        "source": source,
        "duration": 3.0,
        "label": "angry",
        "score": 0.6,
        "scores": dict(zip(LABELS, (0.6, 0.3, 0.1), strict=True)),
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
    return result(source, error=error, **(nothing | changes))


@contextmanager
def frames(count: int, labels: Sequence[str] = LABELS, dim: int = 4) -> Iterator[FrameResult]:
    """`count` frames of 20 ms from the start, closed at the end."""
    rng = np.random.default_rng(count)
    starts, embeddings = FrameSpool(None, np.int64), FrameSpool(dim)
    scores = FrameSpool(len(labels)) if labels else None
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
