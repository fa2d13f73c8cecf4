"""Cut points of speech, pure: probabilities and levels of 32 ms frames in, spans of frames out.

The spans partition the stream: each is speech (at most `max_frames`) or silence. Decisions depend on the frames
alone, not on how they arrive.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from overtone.segmentation.voiced_frames import MIN_VOICED, OFF, ON, PAUSE_FRAMES


@dataclass(frozen=True, slots=True)
class FrameSpan:
    """Half-open range of frames. `silent`: True if no speech is in it."""

    start: int
    stop: int
    silent: bool


@dataclass(frozen=True, slots=True)
class PauseRules:
    """Limits on spans, all in frames.

    - `max_frames`: of a speech span.
    - `pause`: silence that ends a span.
    - `min_voiced`: voiced frames that make speech of a noise.
    - `pad`: kept around speech.
    - `max_silence`: of a silent span; None for any.
    """

    max_frames: int
    max_silence: int | None = None
    pause: int = PAUSE_FRAMES
    min_voiced: int = MIN_VOICED
    pad: int = 3

    def __post_init__(self) -> None:
        if self.max_frames < 4 or self.pad > self.pause:
            raise ValueError(f"rules that cannot hold: {self}")


class PauseDetector:
    """Streaming detector: feed it with `push`, then `finish`; both give spans as soon as they are decided, in order."""

    def __init__(self, rules: PauseRules) -> None:
        self._rules = rules
        self._now = 0  # frames seen
        self._settled = 0  # everything before has been given out
        self._start: int | None = None  # of the open speech
        self._last_voiced = -1
        self._speaking = False
        # Of each frame of the open speech:
        self._voiced: list[bool] = []
        self._probabilities: list[float] = []
        self._levels: list[float] = []

    @property
    def decided_until(self) -> int:
        """First frame that has not been given out."""
        return self._settled

    @property
    def keep_from(self) -> int:
        """First frame whose samples may still become part of a speech span."""
        if self._start is not None:
            return self._start
        return max(self._settled, self._now - self._rules.pause - self._rules.pad)

    def push(self, probability: float, level: float) -> Iterator[FrameSpan]:
        """Add one frame: its speech probability, and its level (any monotone measure of loudness)."""
        rules, frame = self._rules, self._now
        self._now += 1
        self._speaking = probability >= (OFF if self._speaking else ON)
        if self._start is None:
            if not self._speaking:
                yield from self._silence()
                return
            self._open(frame, max(self._settled, frame - rules.pad))
        self._probabilities.append(probability)
        self._levels.append(level)
        self._voiced.append(self._speaking)
        if self._speaking:
            self._last_voiced = frame
        assert self._start is not None
        if frame - self._last_voiced >= rules.pause:
            yield from self._close(self._last_voiced + 1 + rules.pad)
        elif self._now - self._start >= rules.max_frames:
            yield from self._split()

    def finish(self) -> Iterator[FrameSpan]:
        """End the stream."""
        if self._start is not None:
            yield from self._close(min(self._now, self._last_voiced + 1 + self._rules.pad))
        if self._settled < self._now:
            yield FrameSpan(self._settled, self._now, silent=True)
            self._settled = self._now

    def _open(self, frame: int, start: int) -> None:
        # Less silence than a pause in front belongs to the speech: a span of it would be noise in the timeline.
        if start - self._settled < self._rules.pause:
            start = self._settled
        self._start = start
        # What these frames were is not kept; saying "loud speech" keeps a cut from falling there.
        before = frame - start
        self._voiced = [False] * before
        self._probabilities = [1.0] * before
        self._levels = [float("inf")] * before

    def _silence(self) -> Iterator[FrameSpan]:
        max_silence = self._rules.max_silence
        if max_silence is not None and self.keep_from - self._settled >= max_silence:
            yield FrameSpan(self._settled, self.keep_from, silent=True)
            self._settled = self.keep_from

    def _close(self, stop: int) -> Iterator[FrameSpan]:
        assert self._start is not None
        start, self._start = self._start, None
        if sum(self._voiced) < self._rules.min_voiced:
            return  # a click; it stays part of the silence around it
        if self._settled < start:
            yield FrameSpan(self._settled, start, silent=True)
        yield FrameSpan(start, stop, silent=False)
        self._settled = stop

    def _split(self) -> Iterator[FrameSpan]:
        """Cut the open speech, which is as long as it may be, at its best pause, or where it is quietest."""
        assert self._start is not None
        half = len(self._probabilities) // 2
        cut = half + best_split(self._probabilities[half:], self._levels[half:])
        start = self._start
        if sum(self._voiced[:cut]) >= self._rules.min_voiced:
            if self._settled < start:
                yield FrameSpan(self._settled, start, silent=True)
            yield FrameSpan(start, start + cut, silent=False)
            self._settled = start + cut
        self._start = start + cut
        self._voiced, self._probabilities, self._levels = (
            self._voiced[cut:],
            self._probabilities[cut:],
            self._levels[cut:],
        )


def best_split(probabilities: list[float], levels: list[float]) -> int:
    """Index of the frame to cut before: the middle of the longest pause, else the quietest place (160 ms mean)."""
    best_length, best_middle, run = 0, 0, 0
    for i, probability in enumerate(probabilities):
        run = run + 1 if probability < OFF else 0
        if run > best_length:
            best_length, best_middle = run, i - run // 2
    if best_length:
        return max(1, best_middle)
    width = min(5, len(levels))
    quiet = np.convolve(np.minimum(levels, 1e9), np.ones(width), mode="valid")
    return max(1, int(quiet.argmin()) + width // 2)
