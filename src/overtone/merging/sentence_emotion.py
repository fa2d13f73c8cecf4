"""The emotion of every sentence, from an emotion model that has heard the same segments.

A sentence's score is the classifier applied to the mean over its frames, which is the softmax of the mean of their
logits: so nine numbers are kept of a frame, and not its embedding.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from overtone.models.classifier import Head, softmax
from overtone.system.spooled_array import SpooledArray
from overtone.types import SAMPLE_RATE, EmotionOutput, Span

_PER_MS = SAMPLE_RATE // 1000


class SentenceEmotions:
    """Collects frames in any order of segments; one writer at a time. hop: samples from one frame to the next."""

    def __init__(self, head: Head, hop: int) -> None:
        self._head, self._hop = head, hop
        self.labels = head.labels()
        self._logits = SpooledArray(len(self.labels))
        self._starts = SpooledArray(None, np.int64)
        self._turn = 0
        self._waiting: dict[int, tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]] | None] = {}

    def add_silence(self, index: int) -> None:
        """Add a segment without speech."""
        self._waiting[index] = None
        self._move()

    def add(self, index: int, span: Span, output: EmotionOutput) -> None:
        """Add the model's output for a segment, with its frames."""
        assert output.frames is not None
        starts = span.start + np.arange(output.count, dtype=np.int64) * self._hop
        self._waiting[index] = starts, self._head.logits(output.frames)
        self._move()

    def _move(self) -> None:
        """Frames are kept in order of time."""
        while self._turn in self._waiting:
            rows = self._waiting.pop(self._turn)
            self._turn += 1
            if rows is not None:
                self._starts.append(rows[0])
                self._logits.append(rows[1])

    def scores(self, spans_ms: npt.NDArray[np.int32]) -> npt.NDArray[np.float32]:
        """Scores of sentences in order of time, float32 (sentences, classes).

        Each is from the frames that begin in the sentence; of a sentence too short for one, from the frame before its
        end. NaN where there are no frames at all.
        """
        count = len(spans_ms)
        if not count:
            return np.zeros((0, len(self.labels)), np.float32)
        sums, frames = np.zeros((count, len(self.labels))), np.zeros(count, np.int64)
        nearest = np.full((count, len(self.labels)), np.nan)
        for starts, logits in zip(self._starts.chunks(), self._logits.chunks(), strict=True):
            at_ms = starts // _PER_MS
            place = np.searchsorted(spans_ms[:, 0], at_ms, side="right") - 1
            inside = (place >= 0) & (at_ms < spans_ms[np.maximum(place, 0), 1])
            np.add.at(sums, place[inside], logits[inside])
            np.add.at(frames, place[inside], 1)
            before = np.searchsorted(at_ms, spans_ms[:, 1]) - 1
            nearest[before >= 0] = logits[before[before >= 0]]
        means = np.where(frames[:, None] > 0, sums / np.maximum(frames, 1)[:, None], nearest)
        return softmax(means).astype(np.float32)
