"""`FileSource`: a file, bytes or a stream as a source, decoded by FFmpeg."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.stream import Discard

from overtone.audio.av_errors import FAULTS, faults_as, over_memory, reason, unreadable
from overtone.audio.byte_reader import ByteReader
from overtone.audio.container import open_container
from overtone.audio.corruption import Corruption
from overtone.audio.frames import to_float
from overtone.audio.open import opened
from overtone.audio.source import Chunk, checked_channels, checked_rate
from overtone.audio.wav_header import claimed_seconds
from overtone.errors import Code, InputError, UsageError

_MAX_FRAME_SAMPLES = 1 << 23  # all channels of one decoded frame; the largest real ones (APE) hold 2.4 million

_EXACT = frozenset(("aiff", "au", "caf", "flac", "matroska", "mov", "nistsphere", "w64", "wav"))
"""Formats that state their length. Others estimate it from the bit rate, or read it off the last page."""


class FileSource:
    """The best audio track of a file that FFmpeg reads. Damaged packets are stepped over; `warnings` say so."""

    def __init__(self, source: object, name: str) -> None:
        self.name = name
        self.warnings: list[str] = []
        self._damage = Corruption()
        self._seconds = 0.0
        file, self._owned = opened(source, name)
        self._feed = ByteReader(file)
        self._container: Any = None
        try:
            self._container = open_container(self._feed, name)
            self._describe()
        except BaseException:
            self.close()
            raise

    def _describe(self) -> None:
        with faults_as(Code.NO_AUDIO, self.name, "its audio cannot be decoded; convert it to WAV or FLAC"):
            streams = self._container.streams
            self._stream = streams.best("audio")
            if self._stream is None:
                raise InputError(f"{self.name}: there is no audio track in it", code=Code.NO_AUDIO)
            context = self._stream.codec_context
            if context is None:
                raise LookupError("FFmpeg has no decoder for it")
            for stream in streams:
                if stream.index != self._stream.index:
                    stream.discard = Discard.all  # or every video packet would be read only to be thrown away
            context.thread_count, context.thread_type = 1, "NONE"
            context.options = {"max_samples": str(_MAX_FRAME_SAMPLES)}
            self.container, self.codec = self._container.format.name, context.name
            self.channels, self.rate = context.layout.nb_channels, context.sample_rate
            self.claimed_s = self._claim()
        checked_channels(self.channels, self.name)
        self.rate = checked_rate(self.rate, self.name)
        of_the_track = self._stream.duration is not None or len(streams) == 1
        self.exact = of_the_track and not _EXACT.isdisjoint(self.container.split(","))

    def _claim(self) -> float | None:
        """Seconds the header claims. FFmpeg cuts a WAV's claim to the file's size, so it is read here."""
        stream = self._stream
        seconds: float | None = None
        if stream.duration is not None and stream.time_base:
            seconds = float(stream.duration * stream.time_base)
        elif self._container.duration is not None:
            seconds = self._container.duration / 1e6
        if self.container == "wav":
            seconds = claimed_seconds(self._feed.head, seconds)
        return seconds if seconds is not None and seconds > 0 else None

    def chunks(self) -> Iterator[Chunk]:
        """Decode to the end, over damaged packets where FFmpeg can; say so in `warnings`."""
        for frame in self._frames():
            channels, rate = frame.layout.nb_channels, checked_rate(frame.sample_rate, self.name)
            if channels != self.channels and self._seconds:
                change = f"from {self.channels} to {channels} at {self._seconds:.3f} s"
                self.warnings.append(f"the channel count changes {change}: the audio before it was used")
                break
            self.channels = checked_channels(channels, self.name)
            try:
                chunk = to_float(frame)
            except FAULTS as fault:
                self._failed(fault)
                continue
            if not self.codec.startswith("pcm_") and not np.isfinite(chunk).all():
                # Of damage; a PCM file's NaN is its own.
                self._damage.record_failure(self._seconds, "the decoder made NaN")
                continue
            self._damage.record_success()
            yield rate, chunk
            self._seconds += chunk.shape[1] / rate
        self._report()

    def _failed(self, fault: BaseException) -> None:
        """Count a fault as damage. InputError where it is want of memory, which the rest of the file would meet too."""
        if isinstance(fault, MemoryError):
            raise over_memory(self.name) from None
        self._damage.record_failure(self._seconds, reason(fault))

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
        error = self._feed.error
        if isinstance(error, Exception):
            if not self._seconds:
                raise unreadable(self.name, error)
            self._damage.stream_failed(self._seconds, reason(error))
        if self._seconds:
            self.warnings += self._damage.warnings()

    def close(self) -> None:
        """Close FFmpeg's container, and the file if it was opened here."""
        container, self._container = self._container, None
        if container is not None:
            with suppress(*FAULTS):
                container.close()
        if self._owned is not None:
            with suppress(OSError):
                self._owned.close()
