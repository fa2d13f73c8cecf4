"""The network against FunASR's own class, on the same seeded weights. FunASR is the oracle; nothing of it ships."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from conftest import CLIPS, decoded, voice
from overtone.models import checkpoints
from overtone.models.emotion2vec import random_checkpoint
from overtone.models.emotion2vec.loading import load

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    funasr_model = pytest.importorskip("funasr.models.emotion2vec.model", reason="funasr, the oracle, is not installed")

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


def oracle(folder: Path) -> Any:
    """FunASR's class with a checkpoint's weights, and a function (samples → frames, scores) as it infers."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from omegaconf import OmegaConf  # which FunASR reads configs with

        config = OmegaConf.to_container(OmegaConf.load(folder / "config.yaml"), resolve=True)
        rows = len((folder / "tokens.txt").read_text(encoding="utf-8").split())
        settings = config["model_conf"]
        network = funasr_model.Emotion2vec(model_conf=settings, vocab_size=rows or -1)
    state = torch.load(folder / "model.pt", weights_only=True)["model"]
    network.load_state_dict({key.removeprefix("d2v_model."): value for key, value in state.items()})
    network.eval()

    def run(samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        with torch.inference_mode():
            source = torch.from_numpy(samples)
            source = torch.nn.functional.layer_norm(source, source.shape).view(1, -1)
            frames = network.extract_features(source, padding_mask=None)["x"]
            scores = torch.softmax(network.proj(frames.mean(dim=1)), dim=-1)[0]
        return frames[0].numpy(), scores.numpy()

    return run


def ours(folder: Path) -> Any:
    """The same of ours."""
    network, head = load(checkpoints.read(folder, name=str(folder)))
    assert head is not None

    def run(samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        with torch.inference_mode():
            source = torch.from_numpy(samples)
            frames = network(torch.nn.functional.layer_norm(source, source.shape)[None])[0].numpy()
        return frames, head.scores(frames.mean(axis=0))

    return run


def compare(folder: Path, clips: list[np.ndarray]) -> None:
    expected, got = oracle(folder), ours(folder)
    for samples in clips:
        (frames, scores), (our_frames, our_scores) = expected(samples), got(samples)
        assert our_frames.shape == frames.shape
        np.testing.assert_allclose(our_frames, frames, rtol=0, atol=TOLERANCE)
        np.testing.assert_allclose(our_frames.mean(axis=0), frames.mean(axis=0), rtol=0, atol=TOLERANCE)
        np.testing.assert_allclose(our_scores, scores, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_of_the_network_equals_funasr(variant: str, tmp_path: Path) -> None:
    folder = random_checkpoint.write(tmp_path / "c", **VARIANTS[variant])
    compare(folder, [voice(0.5), voice(7.3, seed=1), np.zeros(16_000, np.float32)])


@pytest.mark.slow
@pytest.mark.parametrize(("shape", "seconds"), [("base", (0.5, 3.0, 12.7, 30.0)), ("large", (0.5, 10.0, 30.0))])
def test_the_published_shapes_equal_funasr(shape: str, seconds: tuple[float, ...], tmp_path: Path) -> None:
    folder = random_checkpoint.write(tmp_path / "c", SHAPES[shape], seed=5, optimizer=False)
    compare(folder, [voice(length, seed=i) for i, length in enumerate(seconds)])


def test_real_speech_equals_funasr(tmp_path: Path) -> None:
    folder = random_checkpoint.write(tmp_path / "c", SHAPES["base"], seed=6, optimizer=False)
    paths = [path for name in ("speech/wenet", "emodb/wav") for path in sorted((CLIPS / name).iterdir())]
    assert len(paths) == 6
    compare(folder, [decoded(path) for path in paths])
