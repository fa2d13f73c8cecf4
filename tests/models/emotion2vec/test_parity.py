"""The network against FunASR's own class, on the same seeded weights. FunASR is the oracle; nothing of it ships."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers.audio_files import wav
from helpers.clips import CLIPS, buzz, decoded
from helpers.oracles.emotion2vec import oracle, ours
from helpers.oracles.resampling import resampled
from overtone import EmotionRecognizer
from overtone.models.emotion2vec import random_checkpoint

TOLERANCE = 1e-4
"""Absolute, on values of the order of 1 to 5. What is seen is under 1e-5: float rounding of other kernels."""

SHAPES = {"small": random_checkpoint.SMALL, "base": random_checkpoint.BASE, "large": random_checkpoint.LARGE}

VARIANTS: dict[str, dict[str, Any]] = {
    "as published": {},
    "norm before positions": {"conv_pos_pre_ln": True},
    "scale per layer": {"learned_alibi_scale_per_layer": True},
    "one scale": {"learned_alibi_scale_per_head": False},
    "no extra tokens": {"num_extra_tokens": 0},
    "even kernel": {"conv_pos_width": 100},
    "no alibi": {"use_alibi_encoder": False},
}


def compare(folder: Path, clips: list[np.ndarray]) -> None:
    compare_functions(oracle(folder), ours(folder), clips)


def compare_functions(expected: Any, got: Any, clips: list[np.ndarray]) -> None:
    for samples in clips:
        (frames, scores), (our_frames, our_scores) = expected(samples), got(samples)
        assert our_frames.shape == frames.shape
        np.testing.assert_allclose(our_frames, frames, rtol=0, atol=TOLERANCE)
        np.testing.assert_allclose(our_frames.mean(axis=0), frames.mean(axis=0), rtol=0, atol=TOLERANCE)
        np.testing.assert_allclose(our_scores, scores, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_of_the_network_equals_funasr(variant: str, tmp_path: Path) -> None:
    folder = random_checkpoint.write(tmp_path / "c", **VARIANTS[variant])
    compare(folder, [buzz(0.5), buzz(7.3, seed=1), np.zeros(16_000, np.float32)])


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any]:
    """The published base shape, as FunASR's function of samples and as ours."""
    folder = random_checkpoint.write(tmp_path_factory.mktemp("base") / "c", SHAPES["base"], seed=5, optimizer=False)
    return oracle(folder), ours(folder)


@pytest.mark.slow
def test_the_published_shapes_equal_funasr(base: tuple[Any, Any], tmp_path: Path) -> None:
    compare_functions(*base, [buzz(length, seed=i) for i, length in enumerate((0.5, 3.0, 7.3))])
    folder = random_checkpoint.write(tmp_path / "c", SHAPES["large"], seed=5, optimizer=False)
    compare(folder, [buzz(length, seed=i) for i, length in enumerate((0.5, 5.0))])


@pytest.mark.slow
@pytest.mark.parametrize("shape", ["base", "large"])
def test_half_a_minute_in_the_published_heads_equals_funasr(shape: str, tmp_path: Path) -> None:
    """Length shows in attention, over which heads of the published number and width go; depth and convolutions, which
    take most of the time, see no more of it than of the shorter clips above."""
    shallow = SHAPES[shape] | {"depth": 1, "prenet_depth": 1, "channels": 32}
    compare(random_checkpoint.write(tmp_path / "c", shallow, seed=8, optimizer=False), [buzz(30.0, seed=2)])


def test_real_speech_equals_funasr(base: tuple[Any, Any]) -> None:
    paths = [path for name in ("speech/wenet", "emodb/wav") for path in sorted((CLIPS / name).iterdir())]
    assert len(paths) == 6
    compare_functions(*base, [decoded(path) for path in paths])


def test_files_of_other_rates_equal_funasr(tmp_path: Path) -> None:
    """FunASR takes the mean of a file's channels, then torchaudio's `Resample`, then the network."""
    folder = random_checkpoint.write(tmp_path / "c", seed=7)
    expected = oracle(folder)
    with EmotionRecognizer(str(folder), memory="4GiB", backend="torch", vad="none") as recognizer:
        for rate, channels in product((8_000, 22_050, 44_100, 48_000), (1, 2)):
            spoken = np.array([buzz(2.5, seed, rate) for seed in range(channels)])
            samples = np.round(spoken * 32767).astype(np.int16)
            mean = (samples / np.float32(32768)).mean(axis=0)
            frames, scores = expected(resampled(mean, rate).astype(np.float32))
            result = recognizer(wav(samples, rate))
            assert result.scores is not None
            np.testing.assert_allclose([*result.scores.values()], scores, rtol=0, atol=TOLERANCE)
            np.testing.assert_allclose(result.embedding, frames.mean(axis=0), rtol=0, atol=TOLERANCE)
