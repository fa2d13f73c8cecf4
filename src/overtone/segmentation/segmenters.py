"""Segmenters: a stream of samples cut into segments, whatever its length, holding no more than one segment's worth.

Segments come in order and, but for overlapping windows, partition the audio.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

import numpy as np
import numpy.typing as npt

from overtone.options.emotion import SHORTEST_TAIL_S
from overtone.segmentation.levels import LevelStream, frame_levels
from overtone.segmentation.pause_detection import FrameSpan, PauseDetector, PauseRules
from overtone.segmentation.sample_buffer import SampleBuffer
from overtone.segmentation.segment_builder import SegmentBuilder
from overtone.segmentation.speech_track import ProbabilityStream, SpeechTrack
from overtone.segmentation.voiced_frames import FRAME
from overtone.types import SAMPLE_RATE, Samples, Segment


class Segmenter(Protocol):
    """Cuts a stream of samples into segments."""

    def push(self, samples: Samples) -> Iterator[Segment]:
        """Take in samples; give the segments that are now decided."""

    def finish(self) -> Iterator[Segment]:
        """End the stream; give the rest."""

    @property
    def speech(self) -> int:
        """Samples of speech in all segments given so far, each counted once where windows overlap."""


class _Segmenter:
    """A segmenter's samples that are still needed, the speech in them, and the segments made of them.

    speech: probabilities of speech in this stream; None where the level alone decides.
    """

    def __init__(self, speech: ProbabilityStream | None, *, keep_silence: bool) -> None:
        self._buffer = SampleBuffer()
        self._track = None if speech is None else SpeechTrack(speech)
        voiced = None if self._track is None else self._track.voiced
        self._builder = SegmentBuilder(self._buffer, voiced, keep_silence=keep_silence)

    @property
    def speech(self) -> int:
        return self._builder.speech

    def _add(self, samples: Samples) -> None:
        self._buffer.add(samples)
        if self._track is not None:
            self._track.push(samples)

    def _end(self) -> None:
        if self._track is not None:
            self._track.finish()

    def _knows(self, stop: int) -> bool:
        """True once a segment that ends at this sample can be judged."""
        return self._track is None or self._track.voiced.knows(stop)

    def _drop(self, before: int) -> None:
        self._buffer.drop(before)
        if self._track is not None:
            self._track.voiced.drop(before)


class WholeFileSegmenter(_Segmenter):
    """The whole file as one segment. `admit(samples)` may raise where that many cannot be held.

    speech: as for `FixedWindowSegmenter`.
    """

    def __init__(
        self, admit: Callable[[int], None], speech: ProbabilityStream | None = None, *, keep_silence: bool = False
    ) -> None:
        super().__init__(speech, keep_silence=keep_silence)
        self._admit = admit

    def push(self, samples: Samples) -> Iterator[Segment]:
        self._admit(self._buffer.stop + len(samples))
        self._add(samples)
        yield from ()

    def finish(self) -> Iterator[Segment]:
        self._end()
        yield self._builder.make(0, self._buffer.stop)
        self._drop(self._buffer.stop)


def _min_tail(hop: int) -> int:
    """Samples beyond a window that have to be left over for another window to begin."""
    return min(int(SHORTEST_TAIL_S * SAMPLE_RATE), hop)


def window_count(samples: int, window: int, hop: int) -> int:
    """Number of windows that `FixedWindowSegmenter` cuts so many samples into. All in samples."""
    return 1 + max(0, (samples - window - _min_tail(hop)) // hop + 1)


class FixedWindowSegmenter(_Segmenter):
    """A fixed grid: windows of `window` samples, one every `hop`; the last may be shorter or a little longer.

    speech: probabilities of speech in this stream, by which a window without any is silent; None judges by level alone.
    """

    def __init__(
        self, window: int, hop: int, speech: ProbabilityStream | None = None, *, keep_silence: bool = False
    ) -> None:
        super().__init__(speech, keep_silence=keep_silence)
        self._window, self._hop = window, hop
        self._tail = _min_tail(hop)
        self._next = 0

    def push(self, samples: Samples) -> Iterator[Segment]:
        """Take in samples; give a window once it is judged, and sure that no short tail is to be joined to it."""
        self._add(samples)
        yield from self._full()

    def finish(self) -> Iterator[Segment]:
        self._end()
        yield from self._full()
        # Less than a window and a short tail is left.
        yield self._builder.make(self._next, self._buffer.stop)
        self._drop(self._buffer.stop)

    def _full(self) -> Iterator[Segment]:
        while self._buffer.stop >= self._next + self._window + self._tail and self._knows(self._next + self._window):
            yield self._builder.make(self._next, self._next + self._window)
            self._next += self._hop
            self._drop(self._next)


class PauseSegmenter(_Segmenter):
    """Segments of at most `max_samples`: longer audio is cut where speech pauses.

    Stretches without speech become silent segments; with `keep_silence` they go to the model too.

    speech: probabilities of speech in this stream; None goes by level alone, and counts all of a segment that reaches
    it as speech. cut_all: audio that is no longer than `max_samples` is cut in its pauses too.
    """

    def __init__(
        self,
        max_samples: int,
        speech: ProbabilityStream | None,
        *,
        keep_silence: bool = False,
        cut_all: bool = False,
    ) -> None:
        super().__init__(speech, keep_silence=keep_silence)
        self._max_samples = max_samples
        self._keep = keep_silence
        # Pauses are found by level where no detector is asked, which counts no speech.
        self._scores = SpeechTrack(LevelStream()) if self._track is None else self._track
        frames = max_samples // FRAME
        # Silence that is kept is held until it is given out, so it may not grow without bound.
        self._pauses = PauseDetector(PauseRules(max_frames=frames, max_silence=frames if keep_silence else None))
        self._judged = 0  # samples whose frames the pause detector has seen
        self._cut = cut_all
        self._waiting: list[npt.NDArray[np.float32]] = []  # probabilities, until it is known that there is to be a cut

    def push(self, samples: Samples) -> Iterator[Segment]:
        self._buffer.add(samples)
        self._waiting.append(self._scores.push(samples))
        self._cut = self._cut or self._buffer.stop > self._max_samples
        if self._cut:
            yield from self._judge()

    def finish(self) -> Iterator[Segment]:
        self._waiting.append(self._scores.finish())
        if self._cut:
            yield from self._judge()
            for span in self._pauses.finish():
                yield from self._segments(span)
        else:
            yield self._builder.make(0, self._buffer.stop)
        self._buffer.drop(self._buffer.stop)

    def _judge(self) -> Iterator[Segment]:
        probabilities = np.concatenate(self._waiting)
        self._waiting.clear()
        if not len(probabilities):
            return
        start = self._judged
        stop = min(start + len(probabilities) * FRAME, self._buffer.stop)
        levels = frame_levels(self._buffer.take(start, stop))
        self._judged = stop
        for probability, level in zip(probabilities.tolist(), levels, strict=True):
            for span in self._pauses.push(probability, level):
                yield from self._segments(span)
        needed = (self._pauses.decided_until if self._keep else self._pauses.keep_from) * FRAME
        self._buffer.drop(needed)
        self._scores.voiced.drop(needed)

    def _segments(self, span: FrameSpan) -> Iterator[Segment]:
        start, stop = span.start * FRAME, min(span.stop * FRAME, self._buffer.stop)
        yield self._builder.make(start, stop, silent=span.silent and not self._keep)
