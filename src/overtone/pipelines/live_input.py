"""One channel of speech that is still going on, on its way to the model: resampled, cut, and its last seconds kept."""

from __future__ import annotations

from typing import Any

import numpy as np

from overtone.audio import Resampler
from overtone.audio.resampler import refuse_bad
from overtone.pipelines.channel import ChannelStream
from overtone.segmentation.speech_track import SpeechTrack
from overtone.types import Samples, Span


class LiveInput:
    """The audio of a live session. speech: found frame by frame; None where the level alone decides."""

    def __init__(self, resampler: Resampler, channel: ChannelStream[Any], speech: SpeechTrack | None) -> None:
        self.channel = channel
        self._resampler, self._speech = resampler, speech
        self._ended = False
        self._given = 0
        self.recent: Samples = np.zeros(0, np.float32)
        """The last samples of all that `take` was given, float32 (samples,) at 16 kHz."""

    @property
    def ended(self) -> bool:
        """True once no more audio comes."""
        return self._ended

    def resample(self, samples: Samples) -> Samples:
        """Samples at the session's rate, float32 (samples,), at 16 kHz; some are held back.

        InputError (bad_samples) for NaN, infinity and the like; then none of them are taken.
        """
        resampler = self._resampler
        refuse_bad(samples[None], resampler.rate, self._given / resampler.rate, resampler.name)
        self._given += len(samples)
        resampled: Samples = resampler.push(samples[None])[0]
        return resampled

    def flush(self) -> Samples:
        """End the audio; the samples that were held back, and none if it has ended before."""
        if self._ended:
            return np.zeros(0, np.float32)
        self._ended = True
        rest: Samples = self._resampler.flush()[0]
        return rest

    def take(self, samples: Samples, keep: int) -> None:
        """Pass on samples at 16 kHz, and keep the last `keep` of all."""
        self.channel.push(samples)
        if self._speech is not None:
            self._speech.push(samples)
            self._speech.voiced.drop(self.channel.samples - keep)
        self.recent = np.concatenate([self.recent, samples])[-keep:]

    def speech_in(self, span: Span) -> int:
        """Samples of speech in a span of those that are kept; all of them where no detector is asked."""
        return len(span) if self._speech is None else self._speech.voiced.count(span.start, span.stop)
