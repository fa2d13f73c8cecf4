"""Samples of a stream that are still needed, and no others."""

from __future__ import annotations

import numpy as np

from overtone.types import Samples


class SampleBuffer:
    """Samples not yet given out, addressed by their place in the whole stream."""

    def __init__(self) -> None:
        self.start = 0
        self.stop = 0
        self._blocks: list[Samples] = []

    def add(self, samples: Samples) -> None:
        """Append samples."""
        self._blocks.append(samples)
        self.stop += len(samples)

    def take(self, start: int, stop: int) -> Samples:
        """A copy of a range, so that the buffer it was cut from can be freed."""
        return np.array(self._joined()[start - self.start : stop - self.start])

    def drop(self, before: int) -> None:
        """Free the samples before a place; where that is not here yet, all there are."""
        before = min(before, self.stop)
        if before > self.start:
            self._blocks = [self._joined()[before - self.start :].copy()]
            self.start = before

    def _joined(self) -> Samples:
        if len(self._blocks) != 1:
            self._blocks = [np.concatenate(self._blocks) if self._blocks else np.zeros(0, np.float32)]
        return self._blocks[0]
