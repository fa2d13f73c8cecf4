"""Messages of a live stream as samples: PCM16 at any rate, Opus packets, or WebM with Opus."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Protocol

import numpy as np

from overtone.audio import MOST_SAMPLES, MOST_WEBM_BYTES, OPUS_RATE, OpusPackets, PacketDecoder, WebmOpus
from overtone.audio.packet_decoder import RemoteOpus
from overtone.errors import UsageError
from overtone.types import Samples

FORMATS = ("pcm16", "opus", "webm")

_MOST_CHANNELS = 2

_PIECE_BYTES = 65_536
"""Bytes of PCM that are read at a time: two seconds of 16 kHz."""

_CONTAINERS = (
    (0, b"\x1a\x45\xdf\xa3", "WebM"),
    (0, b"OggS", "Ogg"),
    (0, b"RIFF", "WAV"),
    (0, b"ID3", "MP3"),
    (0, b"fLaC", "FLAC"),
    (4, b"ftyp", "MP4"),
)
"""Marks of containers: at which byte each is, its bytes, and the container's name."""

_LONGEST_START = max(at + len(mark) for at, mark, _ in _CONTAINERS)


class Reader(Protocol):
    """Turns messages into samples at `rate`, in Hz."""

    rate: int

    def read(self, message: bytes) -> Iterator[Samples]:
        """The mean of all channels, float32 (samples,), a bounded number at a time, read while they are asked
        for. InputError for bytes that are no audio, UsageError for those of a container that was not announced."""

    def finish(self) -> Iterator[Samples]:
        """The samples that are left when all messages were read."""

    def warnings(self) -> Sequence[str]:
        """Warnings about what was filled in or left out, once it has finished."""

    def close(self) -> None:
        """Free what it holds."""


def open_reader(form: str, rate: int, channels: int, decoder: PacketDecoder | None = None) -> Reader:
    """A reader for messages of a form. decoder: the process for Opus; None decodes it in this one.

    UsageError for a form, rate or number of channels that is not taken.
    """
    if form not in FORMATS:
        raise UsageError(f"the format is {form!r}; a stream is {', '.join(FORMATS[:-1])} or {FORMATS[-1]}.")
    if not 1 <= channels <= _MOST_CHANNELS:
        raise UsageError(f"a stream of {channels} channels; it has 1 or 2.")
    if form == "opus":
        return OpusReader(channels, decoder)
    if form == "webm":
        return WebmReader(decoder)
    if not 8_000 <= rate <= 48_000:
        raise UsageError(f"a rate of {rate} Hz; 8000 to 48000 are taken.")
    return PcmReader(rate, channels)


class _Start:
    """The first bytes of a stream that is to have no container. promised: what it was to be."""

    def __init__(self, promised: str) -> None:
        self._promised, self._bytes = promised, b""

    def check(self, message: bytes) -> None:
        """UsageError where the stream, up to this message, begins as a container does."""
        if len(self._bytes) >= _LONGEST_START:
            return
        self._bytes += message[: _LONGEST_START - len(self._bytes)]
        for at, mark, name in _CONTAINERS:
            if self._bytes[at : at + len(mark)] == mark:
                raise UsageError(f"the stream begins as {name} does, and was to be {self._promised}; {_REMEDIES[name]}")


_REMEDIES = {
    "WebM": "open it with format=webm, which takes WebM with Opus.",
    "WAV": "send the samples without the header before them.",
    **dict.fromkeys(
        ("Ogg", "MP3", "FLAC", "MP4"), "send 16-bit samples, or format=webm, or all of the file to POST /v1/emotion."
    ),
}


class _Untimed:
    """A reader of samples without times: nothing is kept back, filled in or left out."""

    def finish(self) -> Iterator[Samples]:
        """None."""
        return iter(())

    def warnings(self) -> Sequence[str]:
        """None."""
        return ()


class PcmReader(_Untimed):
    """16-bit samples, little-endian, channels interleaved; messages may end anywhere."""

    def __init__(self, rate: int, channels: int) -> None:
        self.rate, self._channels = rate, channels
        self._start = _Start("16-bit samples")
        self._rest = b""

    def read(self, message: bytes) -> Iterator[Samples]:
        """The mean of the channels of all samples that are whole by now."""
        self._start.check(message)
        for piece in _pieces(message, _PIECE_BYTES):
            data = self._rest + piece
            whole = len(data) - len(data) % (2 * self._channels)
            self._rest = data[whole:]
            frames = np.frombuffer(data[:whole], "<i2").reshape(-1, self._channels)
            mono: Samples = (frames.mean(axis=1) / 32768.0).astype(np.float32)
            yield mono

    def close(self) -> None:
        """Nothing is held that has to be given back."""


class OpusReader(_Untimed):
    """One Opus packet in each message, as WebRTC has them. decoder: as for `open_reader`."""

    def __init__(self, channels: int, decoder: PacketDecoder | None = None) -> None:
        self.rate = OPUS_RATE
        open_packets = OpusPackets if decoder is None else decoder.open
        self._packets: OpusPackets | RemoteOpus = open_packets(channels, "the stream")
        self._start = _Start("Opus packets")

    def read(self, message: bytes) -> Iterator[Samples]:
        """The mean of the channels of one packet. InputError for a message that is none."""
        self._start.check(message)
        yield self._packets.decode(message)

    def close(self) -> None:
        """Free what its decoder holds."""
        self._packets.close()


class WebmReader:
    """WebM with Opus in it, as a browser's MediaRecorder gives it; messages may end anywhere. decoder: as for
    `open_reader`."""

    def __init__(self, decoder: PacketDecoder | None = None) -> None:
        self.rate = OPUS_RATE
        self._webm: WebmOpus | RemoteOpus = (
            WebmOpus("the stream") if decoder is None else decoder.open_webm("the stream")
        )

    def read(self, message: bytes) -> Iterator[Samples]:
        """The mean of the channels of all packets that are whole by now.

        InputError where it is no WebM, or has no Opus.
        """
        for piece in _pieces(message, MOST_WEBM_BYTES):
            yield from _all(partial(self._webm.decode, piece), partial(self._webm.decode, b""))

    def finish(self) -> Iterator[Samples]:
        """The last packet, where its time is in doubt."""
        yield from _all(self._webm.finish, self._webm.finish)

    def warnings(self) -> Sequence[str]:
        """Warnings about holes and audio that was left out, as for a file."""
        return self._webm.warnings()

    def close(self) -> None:
        """Free what its decoder holds."""
        self._webm.close()


def _all(first: Callable[[], Samples], more: Callable[[], Samples]) -> Iterator[Samples]:
    """The samples of a call, and of others where it had as many as one gives."""
    samples = first()
    yield samples
    while len(samples) >= MOST_SAMPLES:
        samples = more()
        yield samples


def _pieces(message: bytes, size: int) -> Iterator[bytes]:
    for start in range(0, len(message), size):
        yield message[start : start + size]
