"""Arrays as audio, and those that are none."""

from __future__ import annotations

import numpy as np
import pytest

from helpers.audio_files import voice, wav
from helpers.decoding import decode, refused
from overtone.types import Audio


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.longdouble])
def test_float_arrays(dtype: type) -> None:
    samples = voice(1.2, channels=2).astype(dtype)
    heard, decoder = decode(Audio(samples, 16_000, "mine"))
    assert np.allclose(heard, samples.astype(np.float32).mean(axis=0), atol=1e-6)
    assert (decoder.name, decoder.channels, decoder.claimed_s) == ("mine", 2, 1.2)


@pytest.mark.parametrize(
    ("samples", "code", "word"),
    [
        (np.zeros(9, np.int16), "bad_samples", "divide by 32768"),
        (np.zeros(9, np.uint8), "bad_samples", "subtract 128, divide by 128"),
        (np.zeros(9, complex), "bad_samples", "float"),
        (np.zeros((1, 2, 3)), "bad_samples", "3 dimensions"),
        (np.float32(1)[...], "bad_samples", "0 dimensions"),
        (np.zeros(0), "empty", "empty"),
        (np.zeros((16_000, 2)), "bad_samples", "samples.T"),
        (np.zeros((65, 65)), "too_many_channels", "65 channels"),
        ([0.0, 1.0], "bad_samples", "numpy"),
    ],
)
def test_arrays_refused(samples: np.ndarray, code: str, word: str) -> None:
    error = refused(Audio(samples, 16_000))
    assert error.code == code
    assert word in str(error)


@pytest.mark.parametrize("rate", [0, -1, 999, 16_000.5, float("nan"), 768_001, None, "x", 1 << 70])
def test_rates_refused(rate: int) -> None:
    assert refused(Audio(np.zeros(9, np.float32), rate)).code == "bad_rate"


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e30])
def test_samples_that_are_no_audio(bad: float) -> None:
    samples = np.zeros((2, 40_000), np.float32)
    samples[1, 24_000] = bad
    for source in (Audio(samples, 16_000), Audio(samples.astype(np.float64), 16_000), wav(samples)):
        error = refused(source)
        assert error.code == "bad_samples"
        assert "at 1.500 s" in str(error)
    assert refused(Audio(np.array([1e300, 0.0]), 8000)).code == "bad_samples"
