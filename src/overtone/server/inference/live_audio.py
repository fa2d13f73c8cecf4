"""Messages of a live stream as samples: PCM16 at any rate, or Opus packets."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import av
import numpy as np

from overtone.audio import Resampler
from overtone.errors import InputError, UsageError
from overtone.types import Samples

FORMATS = ("pcm16", "opus")

_OPUS_RATE = 48_000
"""Hz. Whatever was encoded, Opus is decoded at this (RFC 6716, section 2)."""

_MOST_CHANNELS = 2


class Reader(Protocol):
    """Turns messages into samples."""

    def read(self, message: bytes) -> Samples:
        """The mean of all channels, float32 (samples,) at 16 kHz. InputError for what is no audio."""


def open_reader(form: str, rate: int, channels: int) -> Reader:
    """What reads messages of a form. UsageError for a form, rate or number of channels that is not taken."""
    if form not in FORMATS:
        raise UsageError(f"the format is {form!r}; a stream is {' or '.join(FORMATS)}.")
    if not 1 <= channels <= _MOST_CHANNELS:
        raise UsageError(f"a stream of {channels} channels; it has 1 or 2.")
    if form == "opus":
        return OpusReader(channels)
    if not 8_000 <= rate <= 48_000:
        raise UsageError(f"a rate of {rate} Hz; 8000 to 48000 are taken.")
    return PcmReader(rate, channels)


class PcmReader:
    """16-bit samples, little-endian, channels interleaved; messages may end anywhere."""

    def __init__(self, rate: int, channels: int) -> None:
        self._channels = channels
        self._resampler = Resampler(1, rate, "the stream")
        self._rest = b""

    def read(self, message: bytes) -> Samples:
        """See Reader."""
        data = self._rest + message
        whole = len(data) - len(data) % (2 * self._channels)
        self._rest = data[whole:]
        frames = np.frombuffer(data[:whole], "<i2").reshape(-1, self._channels)
        mono = (frames.mean(axis=1) / 32768.0).astype(np.float32)
        return _resampled(self._resampler, mono)


class OpusReader:
    """One Opus packet in each message, as WebRTC has them; no Ogg or WebM around it."""

    def __init__(self, channels: int) -> None:
        self._channels = channels
        self._decoder: Any = av.CodecContext.create("opus", "r")
        self._decoder.layout = "mono" if channels == 1 else "stereo"
        self._decoder.sample_rate = _OPUS_RATE
        self._resampler = Resampler(1, _OPUS_RATE, "the stream")

    def read(self, message: bytes) -> Samples:
        """See Reader."""
        with _refused():
            frames = self._decoder.decode(av.Packet(message)) if message else []
            arrays = [frame.to_ndarray().reshape(-1, frame.samples) for frame in frames]
        mono = [array.mean(axis=0, dtype=np.float32) for array in arrays]
        samples = np.concatenate(mono) if mono else np.zeros(0, np.float32)
        return _resampled(self._resampler, np.nan_to_num(samples))


def _resampled(resampler: Resampler, mono: Samples) -> Samples:
    if not len(mono):  # of a message that completes no sample, and FFmpeg takes no frame without any
        return mono
    samples: Samples = resampler.push(mono[None])[0]
    return samples


@contextmanager
def _refused() -> Iterator[None]:
    try:
        yield
    except (av.error.FFmpegError, ValueError) as error:
        raise InputError(
            f"a message is no Opus packet ({error}); send one packet in each.", code="bad_samples"
        ) from None
