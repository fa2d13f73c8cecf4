"""Segmenters at the end-points that FunASR's FSMN-VAD finds in a stream."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np

from overtone.models.fsmn_vad.options import FRAME_MS, VadOptions
from overtone.models.fsmn_vad.scorer import FsmnStream
from overtone.segmentation.fsmn.endpoint_detector import EndpointDetector, Spans
from overtone.segmentation.fsmn.span_merger import MergedSpan, SpanMerger
from overtone.segmentation.sample_buffer import SampleBuffer
from overtone.types import SAMPLE_RATE, Samples, Segment, Span

_MS = SAMPLE_RATE // 1000


class FsmnSegmenter:
    """Segments between the end-points of speech; they partition the stream.

    Those with speech are never silent, whatever their level, and the audio between them always is, in one segment.

    - `stream`: a new one.
    - `longest`: samples that no segment with speech exceeds; speech that lasts is cut there, or after the options'
      `max_single_segment_time`. ValueError where the options' look-back alone would exceed it.

    It holds the segment that goes on, or the look-back, and one block of the network.
    """

    def __init__(self, stream: FsmnStream, options: VadOptions, *, longest: int) -> None:
        # A segment begins with the look-back and the frame that makes it one; the next frame is the first to cut it.
        least = int(options.window_size_ms + options.lookback_time_start_point + 2 * FRAME_MS) * _MS
        if longest < least:
            raise ValueError(f"longest must be {least} samples at least with these options, not {longest}")
        # FunASR cuts at the first frame that is too many, and gives it to the segment.
        most_ms = min(options.max_single_segment_time, longest // _MS - FRAME_MS)
        self._stream, self._detector = stream, EndpointDetector(replace(options, max_single_segment_time=most_ms))
        self._buffer = SampleBuffer()
        self._given = self._count = 0  # samples, and segments
        self.speech = 0
        """Samples between end-points of speech so far."""

    def push(self, samples: Samples) -> Iterator[Segment]:
        self._buffer.add(samples)
        scores = self._stream.push(samples)
        if len(scores):
            yield from self._found(self._detector.push(scores.silence, scores.decibels))
            self._buffer.drop(self._needed_ms() * _MS)

    def finish(self) -> Iterator[Segment]:
        scores = self._stream.finish()
        yield from self._last(self._detector.finish(scores.silence, scores.decibels, self._stream.samples))
        yield from self._silence(self._buffer.stop)
        self._buffer.drop(self._buffer.stop)

    def _found(self, spans: Spans) -> Iterator[Segment]:
        for start_ms, end_ms in spans:
            yield from self._speech(start_ms, self._samples(start_ms, end_ms))

    def _last(self, spans: Spans) -> Iterator[Segment]:
        """The segments at the end of the stream, of which these are the last spans."""
        return self._found(spans)

    def _needed_ms(self) -> int:
        """First sample that may still be asked for."""
        start_ms = self._detector.start_ms
        return self._detector.settled_ms if start_ms is None else start_ms

    def _samples(self, start_ms: int, end_ms: int) -> Samples:
        return self._buffer.take(start_ms * _MS, end_ms * _MS)

    def _speech(self, start_ms: int, samples: Samples) -> Iterator[Segment]:
        yield from self._silence(start_ms * _MS)
        yield self._segment(samples, len(samples))

    def _silence(self, until: int) -> Iterator[Segment]:
        if until > self._given:
            yield self._segment(np.zeros(0, np.float32), until - self._given, silent=True)

    def _segment(self, samples: Samples, length: int, *, silent: bool = False) -> Segment:
        speech = 0 if silent else length
        segment = Segment(self._count, Span(self._given, self._given + length), samples, silent, speech)
        self.speech += speech
        self._count += 1
        self._given += length
        return segment


class MergingSegmenter(FsmnSegmenter):
    """End-point segments merged into longer ones of less than `merge_length_s`, or `longest`, by FunASR's `merge_vad`
    (`span_merger.py`).

    With `hear_gaps` merged segments without speech that are shorter than `longest` have samples, to be recognized as
    they are by FunASR; otherwise they are silent. It holds up to two of them, for a segment that stays alone is not
    joined to the silence before it.
    """

    def __init__(
        self,
        stream: FsmnStream,
        options: VadOptions,
        *,
        longest: int,
        merge_length_s: float,
        hear_gaps: bool = False,
    ) -> None:
        super().__init__(stream, options, longest=longest)
        merge_ms = min(merge_length_s * 1000, longest // _MS)
        self._merger = SpanMerger(merge_ms)
        # A gap that has become as long as this is dropped while it goes on. Under `merge_ms` speech may yet join it.
        self._longest_gap_ms = max(longest // _MS, merge_ms) if hear_gaps else merge_ms
        self._hear_gaps = hear_gaps
        self._speaking = False  # whether the merger knows the start of a segment and not its end
        self._first_ms = 0  # start of the first segment
        self._waiting: list[tuple[int, Samples]] = []  # pieces, until there is a second segment: start and samples

    def _found(self, spans: Spans) -> Iterator[Segment]:
        yield from self._edges(spans)
        start_ms = self._detector.start_ms
        if start_ms is not None and not self._speaking:
            yield from self._begin(start_ms)
        yield from self._pieces(self._merger.advance_to(self._detector.settled_ms))

    def _last(self, spans: Spans) -> Iterator[Segment]:
        yield from self._edges(spans)
        yield from self._pieces(self._merger.finish())
        if self._waiting:  # there was one segment, which ends the last of them
            start_ms, samples = self._waiting[-1]
            yield from self._speech(self._first_ms, samples[(self._first_ms - start_ms) * _MS :])

    def _needed_ms(self) -> int:
        begin_ms, settled_ms = self._merger.begin_ms, self._detector.settled_ms
        gap = self._merger.empty and not self._speaking
        return settled_ms if gap and settled_ms - begin_ms >= self._longest_gap_ms else begin_ms

    def _edges(self, spans: Spans) -> Iterator[Segment]:
        for start_ms, end_ms in spans:
            if not self._speaking:
                yield from self._begin(start_ms)
            yield from self._pieces(self._merger.end(end_ms))
            self._speaking = False

    def _begin(self, start_ms: int) -> Iterator[Segment]:
        pieces = self._merger.start(start_ms)
        self._speaking = True
        if self._merger.segments == 1:
            self._first_ms = start_ms
        else:
            for waiting_ms, samples in self._waiting:
                yield from self._speech(waiting_ms, samples)
            self._waiting.clear()
        yield from self._pieces(pieces)

    def _pieces(self, pieces: Iterable[MergedSpan]) -> Iterator[Segment]:
        for piece in pieces:
            start_ms, stop_ms = piece.start_ms, piece.stop_ms
            if not piece.speech and not (self._hear_gaps and stop_ms - start_ms < self._longest_gap_ms):
                continue
            samples = self._samples(start_ms, stop_ms)
            if self._merger.segments < 2:
                self._waiting.append((start_ms, samples))
            else:
                yield from self._speech(start_ms, samples)
