"""Features against FunASR's frontend, which runs Kaldi's code; streams against the whole; what configs may say."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.clips import CLIPS, buzz, decoded
from overtone.errors import CheckpointError
from overtone.models.features.cmvn import read_cmvn
from overtone.models.features.fbank import (
    FRAME,
    FbankStream,
    Frontend,
    FrontendConfig,
    fbank,
    frames_of,
    padded,
    stack_frames,
)

PUBLISHED = {
    "fs": 16000,
    "window": "hamming",
    "n_mels": 80,
    "frame_length": 25,
    "frame_shift": 10,
    "lfr_m": 7,
    "lfr_n": 6,
    "dither": 0.0,
}
CMVN = (
    "<Nnet>\n<Splice> 4 4\n[ 0 ]\n<AddShift> 4 4\n<LearnRateCoef> 0 [ -1 -2.5 -3 -4e0 ]\n"
    "<Rescale> 4 4\n<LearnRateCoef> 0 [ 0.1 0.2 0.3 0.4 ]\n</Nnet>\n"
)


def kaldi(samples: np.ndarray, **options: Any) -> np.ndarray:
    """What FunASR's frontend makes of a waveform."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        frontends = pytest.importorskip("funasr.frontends.wav_frontend", reason="funasr, the oracle, is not installed")
    import torch

    made = frontends.WavFrontend(**{**PUBLISHED, **options})(torch.from_numpy(samples)[None], [len(samples)])
    return made[0][0].numpy()


TOLERANCE = 1e-3
"""Natural logarithms of energies. Almost all differ by under 1e-5; the weakest filters of a loud frame are what float32
leaves of a difference of large numbers, in Kaldi's Fourier transform more than in NumPy's, and differ by up to 5e-4."""


@pytest.mark.parametrize(
    "name",
    [
        "wenet/aishell-BAC009S0724W0121.wav",
        "wenet/librispeech-1995-1837-0001.wav",
        "librivox/sense_and_sensibility_01_austen_64kb-0870.wav",
    ],
)
def test_features_of_real_speech_are_kaldis(name: str) -> None:
    samples = decoded(CLIPS / "speech" / name)
    ours = Frontend(FrontendConfig.from_config(PUBLISHED, "model"))(samples)
    theirs = kaldi(samples)
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours, theirs, atol=TOLERANCE, rtol=0)
    assert np.abs(ours - theirs).mean() < 2e-5


@pytest.mark.parametrize("window", ["hamming", "hanning", "povey"])
@pytest.mark.parametrize("mels", [23, 80])
def test_windows_and_numbers_of_filters(window: str, mels: int) -> None:
    samples = buzz(2)
    ours = fbank(samples, window=window, mels=mels)
    np.testing.assert_allclose(
        ours, kaldi(samples, window=window, n_mels=mels, lfr_m=1, lfr_n=1), atol=TOLERANCE, rtol=0
    )


@pytest.mark.parametrize("seconds", [0.025, 0.035, 0.1, 0.2, 1.0])
def test_short_audio_is_stacked_as_funasr_does(seconds: float) -> None:
    samples = buzz(seconds)
    frontend = Frontend(FrontendConfig.from_config(PUBLISHED, "model"))
    ours = frontend(samples)
    np.testing.assert_allclose(ours, kaldi(samples), atol=TOLERANCE, rtol=0)
    assert len(ours) == frontend.frames_of(len(samples))


def test_silence_and_less_than_a_frame() -> None:
    np.testing.assert_allclose(fbank(np.zeros(FRAME, np.float32)), np.log(np.finfo(np.float32).eps), rtol=1e-6)
    assert fbank(np.zeros(FRAME - 1, np.float32)).shape == (0, 80)
    assert Frontend(FrontendConfig(stack=7, stride=6))(np.zeros(FRAME - 1, np.float32)).shape == (0, 560)


@settings(max_examples=200)
@given(st.integers(1, 40), st.integers(1, 9), st.integers(1, 9))
def test_stacking_is_funasrs(frames: int, stack: int, stride: int) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        frontends = pytest.importorskip("funasr.frontends.wav_frontend", reason="funasr, the oracle, is not installed")
    mels = np.arange(frames * 2, dtype=np.float32).reshape(frames, 2)
    np.testing.assert_array_equal(
        stack_frames(mels, stack, stride), frontends.apply_lfr(torch.from_numpy(mels), stack, stride).numpy()
    )


@settings(max_examples=50)
@given(st.lists(st.integers(0, 3000), min_size=1, max_size=20), st.integers(0, 1000))
def test_a_stream_gives_the_frames_of_the_whole(sizes: list[int], seed: int) -> None:
    samples = buzz(sum(sizes) / 16_000, seed)
    stream = FbankStream()
    cuts = np.cumsum(sizes)[:-1]
    pieces = [stream.push(piece) for piece in np.split(samples, cuts)]
    np.testing.assert_array_equal(np.concatenate(pieces), fbank(samples))
    assert sum(map(len, pieces)) == frames_of(len(samples))


def test_a_frame_does_not_depend_on_its_neighbours() -> None:
    samples = buzz(3)
    np.testing.assert_array_equal(fbank(samples)[100:], fbank(samples[16_000:]))


def test_normalisation_is_read_and_applied() -> None:
    cmvn = read_cmvn(CMVN, "model")
    np.testing.assert_array_equal(cmvn.shift, np.array([-1, -2.5, -3, -4], np.float32))
    np.testing.assert_array_equal(cmvn.scale, np.array([0.1, 0.2, 0.3, 0.4], np.float32))
    plain, normalised = (Frontend(FrontendConfig(mels=4), made) for made in (None, cmvn))
    samples = buzz(0.1)
    np.testing.assert_array_equal(normalised(samples), (plain(samples) + cmvn.shift) * cmvn.scale)
    mels = fbank(samples, mels=4)
    kept = mels.copy()
    normalised.transform(mels)
    np.testing.assert_array_equal(mels, kept)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<AddShift> 2 2\n<LearnRateCoef> 0 [ 1 2 ]",
        CMVN.replace("-2.5", "much"),
        CMVN.replace("0.2", "nan"),
        CMVN.replace(" 0.4", ""),
        CMVN.replace("-2.5", "-2_5"),
        CMVN.replace("-2.5", "1e300"),
        CMVN.replace("-2.5", "1e99999"),
        CMVN.replace("-2.5", "9" * 5000),
        CMVN.replace("-2.5", "1 " * 70_000),
    ],
)
def test_broken_normalisation_is_refused(text: str) -> None:
    with pytest.raises(CheckpointError, match=r"model: am\.mvn"):
        read_cmvn(text, "model")


def test_normalisation_of_another_length_is_refused() -> None:
    with pytest.raises(CheckpointError, match="4 numbers, but features have 80"):
        Frontend(FrontendConfig(), read_cmvn(CMVN, "model"))


def test_a_config_is_read() -> None:
    config = FrontendConfig.from_config({**PUBLISHED, "cmvn_file": None}, "model")
    assert config == FrontendConfig(80, "hamming", 7, 6, None)
    assert (config.dim, config.hop) == (560, 960)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("fs", 8000),
        ("frame_length", 32),
        ("frame_shift", 20),
        ("snip_edges", False),
        ("window", "blackman"),
        ("window", ["hamming"]),
        ("n_mels", 0),
        ("lfr_m", "7"),
        ("lfr_n", True),
        ("cmvn_file", 3),
    ],
)
def test_a_config_that_asks_for_something_else_is_refused(key: str, value: object) -> None:
    with pytest.raises(CheckpointError, match=rf"model: frontend_conf\.{key}"):
        FrontendConfig.from_config({**PUBLISHED, key: value}, "model")


def test_a_batch_is_padded_to_steps() -> None:
    batch, counts = padded([np.ones((3, 2), np.float32), np.ones((11, 2), np.float32)], step=10)
    assert batch.shape == (2, 20, 2)
    assert counts.tolist() == [3, 11]
    assert batch.sum(axis=(1, 2)).tolist() == [6, 22]
    assert padded([np.ones((0, 2), np.float32)], step=10)[0].shape == (1, 10, 2)
