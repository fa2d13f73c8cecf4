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
        (np.zeros(9, np.int64), "bad_samples", "int64 samples; pass float"),
        (np.zeros(9, np.uint16), "bad_samples", "int16, int32 or uint8"),
        (np.zeros(9, bool), "bad_samples", "bool"),
        (np.zeros(9, complex), "bad_samples", "float"),
        (np.zeros((1, 2, 3)), "bad_samples", "3 dimensions"),
        (np.float32(1)[...], "bad_samples", "0 dimensions"),
        (np.zeros(0), "empty", "empty"),
        (np.zeros((16_000, 2)), "bad_samples", "layout='channels_last'"),
        (np.zeros((65, 65)), "too_many_channels", "65 channels"),
        ([0.0, 1.0], "bad_samples", "list is no NumPy array"),
        (np.float32(1), "bad_samples", "float32 is no NumPy array"),
    ],
)
def test_arrays_refused(samples: np.ndarray, code: str, word: str) -> None:
    error = refused(Audio(samples, 16_000))
    assert error.code == code
    assert word in str(error)


@pytest.mark.parametrize(
    ("pcm", "expected"),
    [
        (np.array([0, 16_384, -32_768, 32_767], np.int16), [0.0, 0.5, -1.0, 32_767 / 32_768]),
        (np.array([0, 64, -128, 127], np.int8), [0.0, 0.5, -1.0, 127 / 128]),
        (np.array([128, 192, 0, 255], np.uint8), [0.0, 0.5, -1.0, 127 / 128]),
        (np.array([0, 1 << 30, -(1 << 31), 1 << 20], np.int32), [0.0, 0.5, -1.0, 2.0**-11]),
    ],
    ids=lambda value: str(getattr(value, "dtype", "")),
)
def test_integers_are_pcm_of_their_type(pcm: np.ndarray, expected: list[float]) -> None:
    heard, _ = decode(Audio(np.tile(pcm, 100), 16_000))
    assert heard.dtype == np.float32
    np.testing.assert_array_equal(heard, np.tile(np.float32(expected), 100))


def test_an_array_of_pcm_is_a_file_of_it() -> None:
    """The same numbers in a WAV file, which FFmpeg scales."""
    samples = (voice(1.0) * 32_767).astype(np.int16)
    heard, _ = decode(Audio(samples, 16_000))
    of_file, _ = decode(wav(samples))
    np.testing.assert_array_equal(heard, of_file)


def test_the_layout_says_which_axis_is_of_channels() -> None:
    samples = voice(0.5, channels=2)
    first, decoder = decode(Audio(samples, 16_000))
    last, other = decode(Audio(np.ascontiguousarray(samples.T), 16_000, layout="channels_last"))
    np.testing.assert_array_equal(first, last)
    assert (decoder.channels, decoder.claimed_s) == (other.channels, other.claimed_s) == (2, 0.5)
    error = refused(Audio(samples, 16_000, layout="channels_last"))
    assert error.code == "bad_samples"
    assert "shape (2, 8000) is 8000 channels as (samples, channels)" in str(error)
    assert "layout='channels_first'" in str(error)
    assert "channels_first, channels_last" in str(refused(Audio(samples, 16_000, layout="CT")))  # type: ignore[arg-type]


def test_one_dimension_is_one_channel_in_any_layout() -> None:
    samples = voice(0.2)[0]
    np.testing.assert_array_equal(decode(Audio(samples, 16_000, layout="channels_last"))[0], samples)


class Tensor:
    """An array of another library, as PyTorch's is: NumPy takes it by `__array__`, or is refused there."""

    def __init__(self, samples: np.ndarray, refusal: Exception | None = None) -> None:
        self.samples, self.refusal = samples, refusal

    def __array__(self, dtype: object = None, copy: bool | None = None) -> np.ndarray:
        if self.refusal is not None:
            raise self.refusal
        return self.samples


def test_an_array_of_another_library() -> None:
    samples = voice(0.5)[0]
    np.testing.assert_array_equal(decode(Audio(Tensor(samples), 16_000))[0], samples)
    error = refused(Audio(Tensor(samples, TypeError("can't convert cuda:0 device type tensor")), 16_000))
    assert error.code == "bad_samples"
    assert "cuda:0" in str(error)
    assert "detach().cpu()" in str(error)


def test_tensors_of_pytorch() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    samples = voice(0.5, channels=2)
    np.testing.assert_array_equal(
        decode(Audio(torch.from_numpy(samples), 16_000))[0], decode(Audio(samples, 16_000))[0]
    )
    learned = torch.zeros(16_000, requires_grad=True)
    assert "detach()" in str(refused(Audio(learned, 16_000)))
    assert "detach().cpu().float()" in str(refused(Audio(torch.zeros(16_000, dtype=torch.bfloat16), 16_000)))


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
