"""Speech in a stream, pure: probabilities of 32 ms frames in, samples of speech in any span out.

A frame is voiced by Silero's two thresholds. Voiced frames without a pause between them are a burst, and a burst of
too few of them is a click and no speech. A span is judged by the frames before its end alone, so that a live window
and the same window of a file get the same answer.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

FRAME = 512
"""Samples (32 ms) per probability, fixed by Silero's model."""

ON, OFF = 0.5, 0.35
"""Speech begins at the first probability and may end below the second (Silero's own thresholds)."""

PAUSE_FRAMES = 16
"""Frames (0.5 s) without voice that end a burst."""

MIN_VOICED = 3
"""Voiced frames (96 ms) that make speech of a burst. In 0.3 s cut from the middle of 102 acted utterances there were
never fewer; 5 would have lost 5 of them. Clicks and claps have none."""


class VoicedFrames:
    """The voiced frames of a stream from where they may still be asked for."""

    def __init__(self) -> None:
        self.frames = 0
        """Frames seen so far."""
        self._start = 0  # the first frame that is kept
        # Of each frame: how many voiced frames its burst has up to it; 0 for one that is not voiced.
        self._ranks: list[int] = []
        self._rank = 0
        self._last_voiced = -1
        self._speaking = False
        self._end: int | None = None  # of the stream, in samples

    def push(self, probabilities: Iterable[float]) -> None:
        """Add frames by their probability of speech."""
        for probability in probabilities:
            self._speaking = probability >= (OFF if self._speaking else ON)
            if self._speaking:
                self._rank = 1 if self.frames - self._last_voiced > PAUSE_FRAMES else self._rank + 1
                self._last_voiced = self.frames
            self._ranks.append(self._rank if self._speaking else 0)
            self.frames += 1

    def finish(self, samples: int) -> None:
        """End the stream, of so many samples: its last frame may be shorter."""
        self._end = samples

    def drop(self, before: int) -> None:
        """Forget the frames before a sample."""
        first = min(max(before, 0) // FRAME, self.frames)
        if first > self._start:
            del self._ranks[: first - self._start]
            self._start = first

    def knows(self, stop: int) -> bool:
        """True once a span that ends at this sample can be judged."""
        return self._end is not None or self.frames >= stop // FRAME

    def judged(self, stop: int) -> int:
        """The sample up to which a span is judged that ends at this one: frames are judged whole."""
        ended = self._end is not None and stop >= self._end
        return stop if ended else stop // FRAME * FRAME

    def count(self, start: int, stop: int) -> int:
        """Samples of speech from `start` to `stop`, judged as if the stream ended there."""
        first, last = start // FRAME, -(-self.judged(stop) // FRAME)
        ranks = np.array(self._ranks[first - self._start : last - self._start], np.int64)
        if not len(ranks):
            return 0
        bursts = np.cumsum(ranks == 1)
        sizes = np.zeros(int(bursts[-1]) + 1, np.int64)
        np.maximum.at(sizes, bursts, ranks)
        speech = (ranks > 0) & (sizes[bursts] >= MIN_VOICED)
        samples = int(speech.sum()) * FRAME
        if speech[0]:
            samples -= start - first * FRAME
        if speech[-1]:
            samples -= max(0, last * FRAME - stop)
        return samples


def least_speech(samples: int) -> int:
    """Samples of speech with which a span of so many samples is not silence: a burst, or half of a shorter span."""
    return max(1, min(MIN_VOICED * FRAME, samples // 2))
