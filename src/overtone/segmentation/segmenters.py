"""Segmenters: a stream of samples cut into segments, whatever its length, holding no more than one segment's worth.

Segments come in order and, but for overlapping windows, partition the audio.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

import numpy as np
import numpy.typing as npt

from overtone.options.emotion import SHORTEST_TAIL_S
from overtone.segmentation.pause_detection import FrameSpan, PauseDetector, PauseRules
from overtone.segmentation.sample_buffer import SampleBuffer
from overtone.segmentation.silero_vad import FRAME, SileroVad, VadStream, frame_levels
from overtone.types import SAMPLE_RATE, Samples, Segment, Span

SILENCE_DBFS = -60.0
"""A segment whose level never reaches this (RMS of any 20 ms, full scale 0 dB) is silence. Speech recorded at all is
tens of decibels above; the noise of 16-bit silence is at -98."""

_LEVEL_WINDOW = 320


class Segmenter(Protocol):
    """Cuts a stream of samples into segments."""

    def push(self, samples: Samples) -> Iterator[Segment]:
        """Take in samples; give the segments that are now decided."""

    def finish(self) -> Iterator[Segment]:
        """End the stream; give the rest."""


def is_silent(samples: Samples) -> bool:
    """True if the level never reaches `SILENCE_DBFS`."""
    whole = max(len(samples) // _LEVEL_WINDOW, 1) * _LEVEL_WINDOW
    windows = samples[:whole].reshape(-1, min(_LEVEL_WINDOW, len(samples)))
    loudest = float(np.einsum("ij,ij->i", windows, windows).max()) / windows.shape[1]
    return bool(loudest < 10.0 ** (SILENCE_DBFS / 10))


class SegmentBuilder:
    """Builder of segments: numbers them, and decides by level which are silent."""

    def __init__(self, buffer: SampleBuffer, *, keep_silence: bool) -> None:
        self._buffer, self._keep = buffer, keep_silence
        self._count = 0

    def make(self, start: int, stop: int, *, silent: bool = False) -> Segment:
        """Build the next segment, of the samples from `start` to `stop` of the stream."""
        samples = np.zeros(0, np.float32) if silent else self._buffer.take(start, stop)
        if not silent and not self._keep and is_silent(samples):
            samples, silent = np.zeros(0, np.float32), True
        segment = Segment(self._count, Span(start, stop), samples, silent)
        self._count += 1
        return segment


class WholeFileSegmenter:
    """The whole file as one segment. `admit(samples)` may raise where that many cannot be held."""

    def __init__(self, admit: Callable[[int], None], *, keep_silence: bool = False) -> None:
        self._buffer = SampleBuffer()
        self._builder = SegmentBuilder(self._buffer, keep_silence=keep_silence)
        self._admit = admit

    def push(self, samples: Samples) -> Iterator[Segment]:
        self._admit(self._buffer.stop + len(samples))
        self._buffer.add(samples)
        yield from ()

    def finish(self) -> Iterator[Segment]:
        yield self._builder.make(0, self._buffer.stop)
        self._buffer.drop(self._buffer.stop)


def _min_tail(hop: int) -> int:
    """Samples beyond a window that have to be left over for another window to begin."""
    return min(int(SHORTEST_TAIL_S * SAMPLE_RATE), hop)


def window_count(samples: int, window: int, hop: int) -> int:
    """Number of windows that `FixedWindowSegmenter` cuts so many samples into. All in samples."""
    return 1 + max(0, (samples - window - _min_tail(hop)) // hop + 1)


class FixedWindowSegmenter:
    """A fixed grid: windows of `window` samples, one every `hop`; the last may be shorter or a little longer."""

    def __init__(self, window: int, hop: int, *, keep_silence: bool = False) -> None:
        self._window, self._hop = window, hop
        self._tail = _min_tail(hop)
        self._buffer = SampleBuffer()
        self._builder = SegmentBuilder(self._buffer, keep_silence=keep_silence)
        self._next = 0

    def push(self, samples: Samples) -> Iterator[Segment]:
        """Take in samples; give a window once it is sure that no short tail is to be joined to it."""
        self._buffer.add(samples)
        while self._buffer.stop >= self._next + self._window + self._tail:
            yield self._builder.make(self._next, self._next + self._window)
            self._next += self._hop
            self._buffer.drop(self._next)

    def finish(self) -> Iterator[Segment]:
        # `push` left less than a window and a short tail.
        yield self._builder.make(self._next, self._buffer.stop)
        self._buffer.drop(self._buffer.stop)


class PauseSegmenter:
    """Segments of at most `max_samples`: longer audio is cut where speech pauses.

    Stretches without speech become silent segments; with `keep_silence` they go to the model too.
    """

    def __init__(self, max_samples: int, vad: SileroVad, *, keep_silence: bool = False) -> None:
        self._max_samples = max_samples
        self._vad = vad
        self._keep = keep_silence
        self._buffer = SampleBuffer()
        self._builder = SegmentBuilder(self._buffer, keep_silence=keep_silence)
        frames = max_samples // FRAME
        # Silence that is kept is held until it is given out, so it may not grow without bound.
        self._pauses = PauseDetector(PauseRules(max_frames=frames, max_silence=frames if keep_silence else None))
        self._stream: VadStream | None = None
        self._judged = 0  # samples whose frames the pause detector has seen

    def push(self, samples: Samples) -> Iterator[Segment]:
        self._buffer.add(samples)
        if self._stream is None:
            if self._buffer.stop <= self._max_samples:
                return
            self._stream = self._vad.stream()
            samples = self._buffer.take(0, self._buffer.stop)
        yield from self._judge(self._stream.push(samples))

    def finish(self) -> Iterator[Segment]:
        if self._stream is None:
            yield self._builder.make(0, self._buffer.stop)
        else:
            yield from self._judge(self._stream.finish())
            for span in self._pauses.finish():
                yield from self._segments(span)
        self._buffer.drop(self._buffer.stop)

    def _judge(self, probabilities: npt.NDArray[np.float32]) -> Iterator[Segment]:
        if not len(probabilities):
            return
        start = self._judged
        stop = min(start + len(probabilities) * FRAME, self._buffer.stop)
        levels = frame_levels(self._buffer.take(start, stop))
        self._judged = stop
        for probability, level in zip(probabilities.tolist(), levels, strict=True):
            for span in self._pauses.push(probability, level):
                yield from self._segments(span)
        self._buffer.drop((self._pauses.decided_until if self._keep else self._pauses.keep_from) * FRAME)

    def _segments(self, span: FrameSpan) -> Iterator[Segment]:
        start, stop = span.start * FRAME, min(span.stop * FRAME, self._buffer.stop)
        yield self._builder.make(start, stop, silent=span.silent and not self._keep)
