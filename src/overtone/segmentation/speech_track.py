"""Speech found in one stream, as it comes in."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

from overtone.segmentation.voiced_frames import VoicedFrames
from overtone.types import Samples


class ProbabilityStream(Protocol):
    """Speech probabilities of the frames of one stream."""

    def push(self, samples: Samples) -> npt.NDArray[np.float32]:
        """Add samples; get the probabilities of the frames that are now complete, float32 (frames,)."""

    def finish(self) -> npt.NDArray[np.float32]:
        """Probabilities of the frames that remain."""


class SpeechTrack:
    """A detector's probabilities of one stream, and what they say of any span of it. Not thread-safe."""

    def __init__(self, stream: ProbabilityStream) -> None:
        self._stream = stream
        self._samples = 0
        self.voiced = VoicedFrames()
        """The speech found so far."""

    def push(self, samples: Samples) -> npt.NDArray[np.float32]:
        """Add samples; get the probabilities of the frames that are now judged, float32 (frames,)."""
        self._samples += len(samples)
        return self._add(self._stream.push(samples))

    def finish(self) -> npt.NDArray[np.float32]:
        """End the stream; get the probabilities of the frames that remained."""
        last = self._add(self._stream.finish())
        self.voiced.finish(self._samples)
        return last

    def _add(self, probabilities: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        self.voiced.push(probabilities.tolist())
        return probabilities
