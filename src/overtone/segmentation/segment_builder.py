"""Segments made of a stream's samples, each with the speech in it."""

from __future__ import annotations

import numpy as np

from overtone.segmentation.levels import is_silent
from overtone.segmentation.sample_buffer import SampleBuffer
from overtone.segmentation.voiced_frames import VoicedFrames, least_speech
from overtone.types import Samples, Segment, Span


def has_no_speech(samples: Samples, speech: int) -> bool:
    """True for silence: a level that never reaches `SILENCE_DBFS`, or less speech than a burst of it.

    speech: samples of speech among these.
    """
    return speech < least_speech(len(samples)) or is_silent(samples)


class SegmentBuilder:
    """Builder of segments: numbers them, counts their speech, and decides which are silent.

    voiced: the speech that was found; None where the level alone decides, and all that is not silent is speech.
    keep_silence: no segment is silent.
    """

    def __init__(self, buffer: SampleBuffer, voiced: VoicedFrames | None, *, keep_silence: bool) -> None:
        self._buffer, self._voiced, self._keep = buffer, voiced, keep_silence
        self._count = 0
        self._until = 0  # end of the last segment that is not silent
        self._counted = 0  # samples of it before this are counted in `speech`
        self.speech = 0
        """Samples of speech in all segments so far, each counted once where they overlap."""

    def make(self, start: int, stop: int, *, silent: bool = False) -> Segment:
        """Build the next segment, of the samples from `start` to `stop` of the stream."""
        speech = 0 if silent else self._speech(start, stop)
        samples = np.zeros(0, np.float32) if silent else self._buffer.take(start, stop)
        if not silent and not self._keep and has_no_speech(samples, speech):
            samples, silent, speech = np.zeros(0, np.float32), True, 0
        if not silent:
            # From where the last one was counted to, if this one goes on from it.
            self.speech += self._speech(self._counted if self._counted and start <= self._until else start, stop)
            self._until = stop
            self._counted = stop if self._voiced is None else self._voiced.judged(stop)
        segment = Segment(self._count, Span(start, stop), samples, silent, speech)
        self._count += 1
        return segment

    def _speech(self, start: int, stop: int) -> int:
        return stop - start if self._voiced is None else self._voiced.count(start, stop)
