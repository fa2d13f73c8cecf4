"""Pools the outputs of a source's segments, which come in any order, into its emotion.

The verdict is of the segments' scores (`verdict.py`). Beside it the frames are pooled, which composes: every output
carries the sum of its frames and their count, so the mean over a file is exact however it was cut.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from overtone.merging.timeline import Timeline, top_label
from overtone.merging.verdict import Verdict, make_verdict
from overtone.models.classifier import Head
from overtone.results import SILENCE, Emotion, FrameResult, SegmentResult
from overtone.system.spooled_array import SpooledArray
from overtone.types import SAMPLE_RATE, EmotionOutput, Segment, Span


@dataclass(frozen=True, slots=True, eq=False)
class PooledEmotion:
    """The emotion of one source, over all of its segments; fields as in `EmotionResult`."""

    verdict: Verdict
    pooled: Emotion | None
    segments: Sequence[SegmentResult]
    embedding: npt.NDArray[np.float32] | None
    frames: FrameResult | None


class EmotionAggregator:
    """Collects the outputs of one source. Thread-safe: segments are added as they are cut, outputs as they come.

    hop: samples between frames. dim: of an embedding. as_published: labels as the checkpoint has them.
    """

    def __init__(
        self, head: Head | None, *, hop: int, dim: int, want_frames: bool = False, as_published: bool = False
    ) -> None:
        self._head = head
        self._labels = head.labels(as_published=as_published) if head else ()
        self._lock = threading.Lock()
        self._timeline = Timeline(self._labels)
        self._count = 0
        self._total = np.zeros(dim, np.float64)
        self._waiting: dict[int, tuple[Span, EmotionOutput]] = {}  # outputs whose frames wait for their turn
        self._turn = 0
        self._hop = hop
        self._frames: FrameResult | None = None
        if want_frames:
            scores = SpooledArray(len(self._labels)) if head else None
            self._frames = FrameResult(
                hop / SAMPLE_RATE, self._labels, SpooledArray(None, np.int64), scores, SpooledArray(dim)
            )

    def add_silence(self, segment: Segment) -> None:
        """Add a segment without speech."""
        with self._lock:
            self._timeline.put(segment.index, segment.span, None)
            self._waiting[segment.index] = (segment.span, _NOTHING)
            self._spool()

    def add(self, segment: Segment, output: EmotionOutput) -> None:
        """Add the model's output for a segment."""
        scores = self._scores(output.total / output.count)
        with self._lock:
            self._timeline.put(segment.index, segment.span, scores, segment.speech)
            self._count += output.count
            self._total += output.total
            self._waiting[segment.index] = (segment.span, output)
            self._spool()

    def _spool(self) -> None:
        """Move on the frames whose turn it is; they are stored in order of time."""
        while self._turn in self._waiting:
            span, output = self._waiting.pop(self._turn)
            self._turn += 1
            if self._frames is None or output.frames is None:
                continue
            self._frames.embeddings.append(output.frames)
            self._frames.starts.append(span.start + np.arange(output.count, dtype=np.int64) * self._hop)
            if self._frames.scores is not None and self._head is not None:
                self._frames.scores.append(self._head.scores(output.frames))

    def _scores(self, mean: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return np.zeros(0) if self._head is None else self._head.scores(mean)

    def finish(self) -> PooledEmotion:
        """The answer, once every segment has been added."""
        with self._lock:
            if not self._count:
                return PooledEmotion(_SILENT, None, self._timeline, None, self._frames)
            mean = self._total / self._count
            label, score, scores = top_label(self._labels, self._scores(mean))
            return PooledEmotion(
                make_verdict(self._timeline),
                None if label is None else Emotion(label, score, scores),
                self._timeline,
                mean.astype(np.float32),
                self._frames,
            )


_NOTHING = EmotionOutput(0, np.zeros(0))

_SILENT = Verdict(SILENCE, None, None, None)
