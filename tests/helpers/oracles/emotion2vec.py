"""FunASR's class of emotion2vec, and ours, as functions of samples."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from overtone.models import checkpoints
from overtone.models.emotion2vec.loading import load


def oracle(folder: Path) -> Any:
    """FunASR's class with a checkpoint's weights, and a function (samples → frames, scores) as it infers."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # Here, since it takes seconds that a process which asks only ours need not spend.
        funasr_model = pytest.importorskip(
            "funasr.models.emotion2vec.model", reason="funasr, the oracle, is not installed"
        )
        from omegaconf import OmegaConf  # which FunASR reads configs with

        config = OmegaConf.to_container(OmegaConf.load(folder / "config.yaml"), resolve=True)
        rows = len((folder / "tokens.txt").read_text(encoding="utf-8").split())
        settings = config["model_conf"]
        with torch.device("meta"):  # its own first weights would take longer to draw than these to load
            network = funasr_model.Emotion2vec(model_conf=settings, vocab_size=rows or -1)
    state = torch.load(folder / "model.pt", weights_only=True)["model"]
    network.load_state_dict({key.removeprefix("d2v_model."): value for key, value in state.items()}, assign=True)
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
