"""`FileSource`: a file, bytes or a stream as a source, decoded by FFmpeg."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.format import Flags
from av.stream import Discard

from overtone.audio.av_errors import FAULTS, faults_as
from overtone.audio.byte_reader import ByteReader
from overtone.audio.channel_count import ChannelCount
from overtone.audio.container import open_container
from overtone.audio.corruption import Corruption
from overtone.audio.frames import to_float
from overtone.audio.input_errors import over_memory, reason, unreadable
from overtone.audio.open import opened
from overtone.audio.presentation_timeline import Placement, PresentationTimeline
from overtone.audio.source import Chunk, checked_channels, checked_rate
from overtone.audio.tracks import AudioTrack, audio_tracks, chosen_stream, origin_s, start_s
from overtone.audio.wav_header import claimed_seconds
from overtone.errors import Code, UsageError
from overtone.types import SAMPLE_RATE, Samples

_MAX_FRAME_SAMPLES = 1 << 23  # all channels of one decoded frame; the largest real ones (APE) hold 2.4 million

_EXACT = frozenset(("aiff", "au", "caf", "flac", "matroska", "mov", "nistsphere", "w64", "wav"))
"""Formats that state their length. Others estimate it from the bit rate, or read it off the last page."""

_TIMED = frozenset(("asf", "flv", "gxf", "matroska", "mov", "mpeg", "mpegts", "mxf", "nut", "ogg", "rm", "wtv"))
"""Formats that keep a timestamp with their packets. Of others FFmpeg counts packets, as if all were as long as the
header says, which tells nothing of holes and is wrong where the rate changes."""


class FileSource:
    """One audio track of a file that FFmpeg reads, in the time that a player shows.

    Damaged packets are stepped over, and holes filled with silence; `warnings` say so. audio_track: its number among
    the audio tracks, None for FFmpeg's best.
    """

    def __init__(self, source: object, name: str, audio_track: int | None = None) -> None:
        self.name = name
        self.warnings: list[str] = []
        self.silence_s = 0.0
        self._damage = Corruption()
        self._count = ChannelCount(name)
        file, self._owned = opened(source, name)
        self._feed = ByteReader(file)
        self._container: Any = None
        try:
            self._container = open_container(self._feed, name)
            self._describe(audio_track)
        except BaseException:
            self.close()
            raise

    def _describe(self, audio_track: int | None) -> None:
        with faults_as(Code.NO_AUDIO, self.name, "its audio cannot be decoded; convert it to WAV or FLAC"):
            container = self._container
            self._stream = chosen_stream(container, audio_track, self.name)
            context = self._stream.codec_context
            if context is None:
                raise LookupError("FFmpeg has no decoder for it")
            self.tracks: tuple[AudioTrack, ...] = audio_tracks(container)
            for stream in container.streams:
                if stream.index != self._stream.index:
                    stream.discard = Discard.all  # or every video packet would be read only to be thrown away
            context.thread_count, context.thread_type = 1, "NONE"
            context.options = {"max_samples": str(_MAX_FRAME_SAMPLES)}
            self.container, self.codec = container.format.name, context.name
            self.channels, self.rate = context.layout.nb_channels, context.sample_rate
            formats = frozenset(self.container.split(","))
            # Of FLAC in Ogg FFmpeg has the first page begin at 0, whatever its clock says (a recording of a stream that
            # was running), and counts samples of the first rate where streams were joined.
            self._timed = not _TIMED.isdisjoint(formats) and (context.name, self.container) != ("flac", "ogg")
            self._origin_s, start = origin_s(container), start_s(container, self._stream)
            self._timeline = PresentationTimeline(start, restarts=bool(container.format.flags & Flags.ts_discont.value))
            self.claimed_s = self._claim((start or 0.0) if self._timed else 0.0)
            of_the_track = self._stream.duration is not None or len(container.streams) == 1
        checked_channels(self.channels, self.name)
        self.rate = checked_rate(self.rate, self.name)
        self.exact = of_the_track and not _EXACT.isdisjoint(formats)

    def _claim(self, start: float) -> float | None:
        """Seconds the header claims. FFmpeg cuts a WAV's claim to the file's size, so it is read here."""
        stream = self._stream
        seconds: float | None = None
        if stream.duration is not None and stream.time_base:
            seconds = start + float(stream.duration * stream.time_base)
        elif self._container.duration is not None:
            seconds = self._container.duration / 1e6
            if "matroska" in self.container:  # which says when it ends, by a clock that need not begin at 0
                seconds -= max(self._origin_s, 0.0)
        if self.container == "wav":
            seconds = claimed_seconds(self._feed.head, seconds)
        return seconds if seconds is not None and seconds > 0 else None

    def chunks(self) -> Iterator[Chunk]:
        """Decode to the end, over damaged packets where FFmpeg can; say so in `warnings`."""
        waiting: deque[tuple[int, Samples]] = deque()
        for time_s, rate, samples in self._decoded():
            waiting.append((rate, samples))
            yield from self._placed(waiting, self._timeline.push(time_s, samples.shape[1], rate))
        yield from self._placed(waiting, self._timeline.finish())
        self._report()

    def _placed(self, waiting: deque[tuple[int, Samples]], placements: Iterable[Placement]) -> Iterator[Chunk]:
        """The frames whose placement is settled, with the silence before them."""
        for placement in placements:
            rate, samples = waiting.popleft()
            yield from self._silence(len(samples), placement.silence, rate)
            if placement.skip < samples.shape[1]:
                yield rate, samples[:, placement.skip :]

    def _silence(self, channels: int, count: int, rate: int) -> Iterator[Chunk]:
        """Silence of `count` samples at `rate`. From a second on it does not go through the resampler."""
        if count >= rate:
            count, rate = round(count * SAMPLE_RATE / rate), SAMPLE_RATE
        while count:
            part = min(count, rate)
            self.silence_s += part / rate
            yield rate, np.zeros((channels, part), np.float32)
            count -= part

    def _decoded(self) -> Iterator[tuple[float | None, int, Samples]]:
        """Each good frame: its timestamp in seconds from the container's start, its rate and its samples."""
        for frame in self._frames():
            rate = checked_rate(frame.sample_rate, self.name)
            try:
                samples = to_float(frame)
            except FAULTS as fault:
                self._failed(fault)
                continue
            if not self.codec.startswith("pcm_") and not np.isfinite(samples).all():
                # Of damage; a PCM file's NaN is its own.
                self._damage.record_failure(self._timeline.end_s, "the decoder made NaN")
                continue
            self._damage.record_success()
            if not samples.shape[1]:
                continue
            samples = self._count.unified(samples, self._timeline.end_s)
            self.channels = len(samples)
            yield self._time_s(frame), rate, samples

    def _time_s(self, frame: AudioFrame) -> float | None:
        """A frame's timestamp in seconds from the container's start, None where it has none of its format's."""
        if not self._timed or frame.pts is None or not frame.time_base:
            return None
        return float(frame.pts * frame.time_base) - self._origin_s

    def _failed(self, fault: BaseException) -> None:
        """Count a fault as damage. InputError where it is want of memory, which the rest of the file would meet too."""
        if isinstance(fault, MemoryError):
            raise over_memory(self.name) from None
        self._damage.record_failure(self._timeline.end_s, reason(fault))

    def _frames(self) -> Iterator[AudioFrame]:
        for packet in self._packets():
            try:
                frames = packet.decode()
            except av.error.EOFError:
                continue  # a decoder that was flushed before
            except FAULTS as fault:
                self._failed(fault)
            else:
                yield from frames

    def _packets(self) -> Iterator[Any]:
        packets = self._container.demux(self._stream)
        while not self._damage.exceeded:
            if self._container is None:  # FFmpeg would read freed memory
                raise UsageError(f"{self.name}: the Decoder was closed while its blocks were read")
            try:
                packet = next(packets, None)
            except FAULTS as fault:
                self._failed(fault)
                packets = self._container.demux(self._stream)
                continue
            finally:
                self._feed.raise_interrupt()
            if packet is None:
                return
            yield packet

    def _report(self) -> None:
        """Add the warnings about lost audio, once decoding is over. Where nothing was decoded, `Decoder` says so."""
        error, heard = self._feed.error, self._count.channels is not None
        if isinstance(error, Exception):
            if not heard:
                raise unreadable(self.name, error)
            self._damage.stream_failed(self._timeline.end_s, reason(error))
        if heard:
            self.warnings += [*self._damage.warnings(), *self._timeline.warnings(), *self._count.warnings()]

    def close(self) -> None:
        """Close FFmpeg's container, and the file if it was opened here."""
        container, self._container = self._container, None
        if container is not None:
            with suppress(*FAULTS):
                container.close()
        if self._owned is not None:
            with suppress(OSError):
                self._owned.close()
