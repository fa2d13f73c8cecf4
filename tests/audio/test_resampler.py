"""Resampling: torchaudio's samples, however a stream is cut, in bounded memory."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.oracles.resampling import resampled as by_formula
from overtone.audio import MAX_RATE, Resampler
from overtone.audio.resampler import resampled
from overtone.audio.sinc_kernel import MOST_OUTPUTS, SincKernel
from overtone.audio.source import MIN_RATE
from overtone.errors import InputError
from overtone.types import SAMPLE_RATE, Samples

USUAL = (8_000, 11_025, 12_000, 22_050, 24_000, 32_000, 44_100, 48_000, 88_200, 96_000, 192_000)
ODD = (1_000, 1_001, 5_512, 7_999, 15_999, 16_001, 37_800, 44_099, 96_001, 383_999, 705_600, 767_999, 768_000)

ROUNDING = 5e-7
"""On samples up to 1: of float32, in the weights and in sums of at most 920 products. 1.6e-7 is seen."""


def noise(samples: int, channels: int = 1, seed: int = 0) -> Samples:
    return np.random.default_rng(seed).uniform(-1, 1, (channels, samples)).astype(np.float32)


def at_16_khz(array: Samples, rate: int, cuts: tuple[int, ...] = ()) -> Samples:
    resampler = Resampler(len(array), rate, "noise")
    return np.concatenate([*map(resampler.push, np.split(array, cuts, axis=1)), resampler.flush()], axis=1)


@pytest.mark.parametrize("rate", [*USUAL, *ODD])
def test_samples_are_those_of_the_formula_at_every_rate(rate: int) -> None:
    array = noise(rate // 2 + 3)
    [got] = at_16_khz(array, rate)
    assert got.dtype == np.float32
    assert len(got) == math.ceil(array.shape[1] * SAMPLE_RATE / rate)
    some = np.unique(np.concatenate([np.arange(100), len(got) - 1 - np.arange(100), np.arange(0, len(got), 7)]))
    np.testing.assert_allclose(got[some], by_formula(array[0], rate, some), rtol=0, atol=ROUNDING)


@pytest.mark.parametrize("rate", [*USUAL, 5_512, 37_800, 705_600, 768_000])
def test_samples_are_torchaudios_and_nearer_to_the_formula(rate: int) -> None:
    torchaudio = pytest.importorskip("torchaudio", reason="torchaudio, the oracle, is not installed")
    import torch

    [array] = noise(rate // 2 + 3)
    theirs = torchaudio.transforms.Resample(rate, SAMPLE_RATE)(torch.from_numpy(array)).numpy()
    [ours] = at_16_khz(array[None], rate)
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-4)  # it rounds times to float32, which 5,512 Hz shows
    exact = by_formula(array, rate)
    assert np.abs(ours - exact).max() <= np.abs(theirs - exact).max() + ROUNDING


@given(
    rate=st.sampled_from([*USUAL, 1_001, 7_999, 44_099, 96_001]),
    cuts=st.lists(st.integers(0, 5_000), max_size=20).map(sorted).map(tuple),
    channels=st.integers(1, 3),
)
def test_cuts_and_other_channels_change_no_bit(rate: int, cuts: tuple[int, ...], channels: int) -> None:
    array = noise(5_000, channels)
    whole = at_16_khz(array, rate)
    np.testing.assert_array_equal(at_16_khz(array, rate, cuts), whole)
    for alone, together in zip(array, whole, strict=True):
        np.testing.assert_array_equal(at_16_khz(alone[None], rate)[0], together)


@given(rate=st.integers(MIN_RATE, MAX_RATE), samples=st.integers(0, 2_000))
def test_lengths_are_rounded_up(rate: int, samples: int) -> None:
    heard = at_16_khz(noise(samples), rate, cuts=(samples // 3,))
    assert heard.shape == (1, -(-samples * SAMPLE_RATE // rate))


@pytest.mark.parametrize("rate", [8_000, 44_100, 48_000, 96_001])
def test_a_live_stream_waits_for_26_ms_at_most(rate: int) -> None:
    resampler, ready, pushed = Resampler(1, rate, "live"), 0, 0
    for piece in np.split(noise(rate), 50, axis=1) if rate % 50 == 0 else np.array_split(noise(rate), 50, axis=1):
        pushed += piece.shape[1]
        ready += resampler.push(piece).shape[1]
        assert ready > pushed * SAMPLE_RATE / rate - 0.026 * SAMPLE_RATE


def test_silence_stays_silent_and_what_is_loudest_finite() -> None:
    assert not at_16_khz(np.zeros((1, 9_000), np.float32), 44_100).any()
    loudest = at_16_khz(np.full((1, 9_000), 1e12, np.float32), 44_100)[0, 100:-100]
    np.testing.assert_allclose(loudest, 1e12, rtol=2e-3)  # the filter's ripple


def test_at_16_khz_nothing_is_touched() -> None:
    array = noise(1_000, 2)
    np.testing.assert_array_equal(at_16_khz(array, SAMPLE_RATE), array)


def test_a_change_of_rate_begins_anew() -> None:
    first, second = noise(4_001, seed=1), noise(7_003, seed=2)
    chunks = [(8_000, first[:, :1_000]), (8_000, first[:, 1_000:]), (48_000, second), (16_000, first)]
    heard = np.concatenate(list(resampled(chunks, "radio")), axis=1)
    apart = [at_16_khz(first, 8_000), at_16_khz(second, 48_000), first]
    np.testing.assert_array_equal(heard, np.concatenate(apart, axis=1))


@pytest.mark.parametrize("rate", [0, MIN_RATE - 1, MAX_RATE + 1])
def test_a_rate_out_of_range_is_an_error_of_the_input(rate: int) -> None:
    with pytest.raises(InputError, match=f"radio: a rate of {rate} Hz") as caught:
        Resampler(1, rate, "radio")
    assert caught.value.code == "bad_rate"


@given(rate=st.integers(MIN_RATE, MAX_RATE))
def test_weights_are_bounded_at_any_rate(rate: int) -> None:
    kernel = SincKernel(rate)
    weights = kernel.window * kernel.tile
    # OpenBLAS begins to use threads for a vector at 9,216 weights, for matrices at 262,144 multiplications.
    assert weights < 9_216 if kernel.rows == 1 else kernel.rows * weights <= 262_144
    assert kernel.rows == 1 or kernel.kinds == 1
    assert kernel.frame_tiles * kernel.tile <= MOST_OUTPUTS
    assert kernel.frame_tiles * weights * 4 <= 2.5 * 2**20


def test_weights_are_kept_only_where_all_of_them_are_small() -> None:
    for rate, kept in ((44_100, True), (47_952, True), (44_099, False), (767_960, False)):
        kernel = SincKernel(rate)
        for frame in range(kernel.kinds):
            kernel.weights(frame)
        assert (kernel.weights(0) is kernel.weights(kernel.kinds)) == kept
        assert sum(weights.nbytes for weights in kernel._kept.values()) <= 2**20
