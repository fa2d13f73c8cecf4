"""End-points of speech from the probability of silence in every 10 ms, by the rules of FunASR's FSMN-VAD.

Speech begins when 150 ms of the last 200 are speech, and reaches back over those 200 ms and 200 more. It pauses when
no more than 150 ms of the last 200 are, and is over when that lasts for long enough (`end_silence.py`); 100 ms of the
pause still belong to it. It is cut when it has lasted for `max_single_segment_time`. All these times are options.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from overtone.models.features.fbank import frames_of
from overtone.models.fsmn_vad.options import FRAME_MS, SINGLE_UTTERANCE, VadOptions
from overtone.segmentation.fsmn.end_silence import EndSilenceSchedule
from overtone.segmentation.fsmn.frame_classifier import FrameClassifier
from overtone.types import SAMPLE_RATE

LOOKAHEAD = 2
"""Frames beyond the scored one that the network needs, so those before the end of a chunk are scored in the next."""

Spans = list[tuple[int, int]]
"""Half-open, in ms from the start of the stream; -1 where an event does not say that end."""


class EndpointDetector:
    """Detector of the speech in one stream. Holds a few numbers, however long the stream.

    `events` asks for FunASR's events, once for each chunk of audio, as its `generate(cache=…)` does, and not
    segments: `(start, -1)` for speech that has begun, `(-1, end)` for its end, `(start, end)` for both at once.
    Speech that begins with the last frame of the stream gets no end there, in FunASR neither.
    """

    def __init__(self, options: VadOptions, *, events: bool = False) -> None:
        self._options, self._events = options, events
        self._judge, self._patience = FrameClassifier(options), EndSilenceSchedule(options)
        self._patience.begin_chunk(speaking=False)
        size = _frames(options.window_size_ms)
        self._mask = (1 << size) - 1
        self._rising, self._falling = (
            _frames(options.sil_to_speech_time_thres),
            _frames(options.speech_to_sil_time_thres),
        )
        self._lookback = size + (_frames(options.lookback_time_start_point) if options.do_extend else 0)
        self._extension = _frames(options.lookahead_time_end_point) if options.do_extend else 0
        self._frames = 0  # seen so far
        self._final: int | None = None  # the stream's last frame, once it is known
        self._chunk, self._chunk_stop = 1, self._stop_of(1)  # the chunk that is going on, and the frame that ends it
        self._ended = False  # in the mode of a single utterance: nothing more comes
        self._start: int | None = None  # first frame of the segment that is going on
        self._taken = 0  # frames before this are spent: no later segment may reach back to them
        self._window, self._voiced = 0, False  # one bit for each of the last frames, and what they amount to
        self._silence = 0  # frames since speech paused
        self._closed: Spans = []  # segments not yet given out
        self._start_given = False  # whether an event has given the start of the segment that is going on

    @property
    def settled_ms(self) -> int:
        """Time before which all is decided: a segment that is going on reaches from its start to here at least, and one
        that is yet to come starts no sooner.
        """
        if self._start is not None:
            return self._taken * FRAME_MS
        return max(self._taken, self._frames if self._ended else self._frames - self._lookback) * FRAME_MS

    @property
    def start_ms(self) -> int | None:
        """Start of the segment that is going on; None where none is."""
        return None if self._start is None else self._start * FRAME_MS

    def push(self, silence: npt.NDArray[np.float32], decibels: npt.NDArray[np.float32]) -> Spans:
        """Take in the next frames, not the stream's last; get the segments that are now complete, or the events.

        - `silence`: probability that there is no speech, float32 (frames,).
        - `decibels`: the frame's energy, float32 (frames,).
        """
        return self._take(silence, decibels, None)

    def finish(self, silence: npt.NDArray[np.float32], decibels: npt.NDArray[np.float32], samples: int) -> Spans:
        """Take in the last frames of a stream of so many samples; none only where it has none at all."""
        self._final = self._frames + len(silence) - 1
        found = self._take(silence, decibels, samples)
        if self._events:
            return found + self._chunk_events()
        if self._start is not None:  # it began with the last frame
            found.append((self._start * FRAME_MS, self._taken * FRAME_MS))
        return found

    def _take(self, silence: npt.NDArray[np.float32], decibels: npt.NDArray[np.float32], samples: int | None) -> Spans:
        found: Spans = []
        at = 0
        while at < len(silence):
            stop = len(silence)
            if samples is None or self._chunk * self._chunk_samples <= samples:
                stop = min(stop, at + self._chunk_stop - self._frames)
            for speech in self._judge(silence[at:stop], decibels[at:stop], self._patience.threshold):
                self._step(speech=speech)
            at = stop
            if not self._events:
                found += self._give_out()
            if at < len(silence):
                found += self._next_chunk()
        return found

    @property
    def _chunk_samples(self) -> int:
        return self._options.chunk_size * SAMPLE_RATE // 1000

    def _stop_of(self, chunk: int) -> int:
        return max(frames_of(chunk * self._chunk_samples) - LOOKAHEAD, 0)

    def _next_chunk(self) -> Spans:
        events = self._chunk_events() if self._events else []
        self._patience.begin_chunk(speaking=self._start is not None)
        self._chunk += 1
        self._chunk_stop = self._stop_of(self._chunk)
        return events

    def _give_out(self) -> Spans:
        closed, self._closed = self._closed, []
        if closed:
            self._patience.segment_emitted()
        return closed

    def _chunk_events(self) -> Spans:
        events, self._closed = self._closed, []
        if events and self._start_given:
            events[0], self._start_given = (-1, events[0][1]), False
        if self._start is not None and not self._start_given:
            events.append((self._start * FRAME_MS, -1))
            self._start_given = True
        if events:
            self._patience.segment_emitted()
        return events

    def _step(self, *, speech: bool) -> None:
        frame = self._frames
        self._frames += 1
        self._window = (self._window << 1 | speech) & self._mask
        heard = self._window.bit_count()
        if self._voiced:
            self._voiced = heard > self._falling
            self._silence = 0
        else:
            self._voiced = heard >= self._rising
            self._silence = 0 if self._voiced else self._silence + 1
        if self._start is None:
            self._wait(frame)
        elif self._silence and self._silence * FRAME_MS >= self._patience.silence_ms:
            # All of the silence but what extends the segment is taken back.
            back = int(self._patience.silence_ms / FRAME_MS)
            if self._options.do_extend:
                back -= self._extension + 1
            self._end(frame - max(back, 0))
        elif frame == self._final or (frame + 1 - self._start) * FRAME_MS > self._options.max_single_segment_time:
            self._end(frame)
        elif self._silence <= self._extension:
            self._taken = frame + 1

    def _wait(self, frame: int) -> None:
        """Take in one frame outside of speech, or the first that makes it speech."""
        if self._ended:
            return
        if self._voiced:
            self._start = max(self._taken, frame - self._lookback)
            self._taken = frame + 1
        elif self._options.detect_mode == SINGLE_UTTERANCE:
            self._ended = self._silence * FRAME_MS > self._options.max_start_silence_time

    def _end(self, frame: int) -> None:
        """End the segment at this frame."""
        assert self._start is not None
        self._closed.append((self._start * FRAME_MS, (frame + 1) * FRAME_MS))
        # FunASR spends a frame twice where a segment ends with one that was its own already (only without extension).
        self._taken = frame + 1 + (frame < self._taken)
        self._start = None
        self._window, self._voiced, self._silence = 0, False, 0
        self._ended = self._options.detect_mode == SINGLE_UTTERANCE


def _frames(milliseconds: float) -> int:
    return int(milliseconds / FRAME_MS)
