"""Audio decoded for a test, and how like it is to what was meant."""

from __future__ import annotations

import numpy as np
import pytest

from helpers.audio_files import Pipe
from overtone.audio import BLOCK_SAMPLES, Decoder, Readable, Resampler
from overtone.errors import InputError
from overtone.types import SAMPLE_RATE, Samples


def decode(source: Readable, channel: int | None = None) -> tuple[np.ndarray, Decoder]:
    with Decoder(source) as decoder:
        parts = list(decoder.blocks(channel))
        assert all(p.dtype == np.float32 and p.ndim == 1 and 0 < len(p) <= BLOCK_SAMPLES for p in parts)
        assert decoder.decoded_s == sum(map(len, parts)) / SAMPLE_RATE
        return np.concatenate(parts), decoder


def refused(source: object) -> InputError:
    """The error of opening or decoding."""
    with pytest.raises(InputError) as caught, Decoder(source) as decoder:  # type: ignore[arg-type]
        list(decoder.blocks())
    return caught.value


def likeness(heard: np.ndarray, meant: np.ndarray) -> float:
    """Correlation at the best lag: encoders delay a little."""
    size = len(heard) + len(meant)
    products = np.fft.irfft(np.fft.rfft(heard, size) * np.fft.rfft(meant, size).conj(), size)
    near = np.concatenate([products[:1600], products[-1600:]])  # within 100 ms
    return float(near.max() / np.sqrt((heard.astype("f8") ** 2).sum() * (meant.astype("f8") ** 2).sum()))


def try_hard(data: bytes) -> None:
    """Any outcome but a foreign exception, NaN, or more audio than the bytes could hold."""
    for source in (data, Pipe(data)):
        try:
            heard, _ = decode(source)
        except InputError:
            continue
        assert np.isfinite(heard).all()


def resampled(samples: Samples, rate: int) -> Samples:
    """Samples of one channel at 16 kHz, all at once."""
    resampler = Resampler(1, rate, "a")
    return np.concatenate([resampler.push(samples[None])[0], resampler.flush()[0]])
