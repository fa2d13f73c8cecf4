"""The network's shape, as FunASR's `config.yaml` says it, and ways into and out of its front end."""

from __future__ import annotations

from typing import Any

import torch
from training.data import LETTERS, TOKENS

from overtone.models.emotion2vec.config import Architecture
from overtone.models.emotion2vec.network import Emotion2vec
from overtone.models.emotion2vec.random_checkpoint import config as published_config

CONV_SPEC = "[(64, 10, 5)] + [(64, 3, 2)] * 2 + [(128, 3, 2)] * 2 + [(192, 2, 2)] * 2"
"""Narrow where the sampling rate is high: most of the arithmetic is in the first layers."""

CHANNELS = 192
"""Width of the last layer of `CONV_SPEC`."""


def config(embed_dim: int = 128, num_heads: int = 4, depth: int = 1, prenet_depth: int = 1) -> dict[str, Any]:
    """The whole of `config.yaml`: what FunASR's class needs, most of which matters only in its own training."""
    shape = {"embed_dim": embed_dim, "num_heads": num_heads, "depth": depth, "prenet_depth": prenet_depth}
    settings = published_config(shape | {"channels": CHANNELS}, feature_encoder_spec=CONV_SPEC)
    # FunASR wants the unknown symbol among the labels; no text is ever tokenised here.
    return settings | {"tokenizer_conf": {"unk_symbol": TOKENS[LETTERS.index("N")], "split_with_space": True}}


def build(settings: dict[str, Any]) -> Emotion2vec:
    """A freshly initialised network. Linear weights start small, as in data2vec 2.0."""
    model = Emotion2vec(Architecture.from_config(settings, "training/network.py"))
    for module in model.modules():
        if isinstance(module, torch.nn.Linear):
            torch.nn.init.trunc_normal_(module.weight, std=0.02)
            torch.nn.init.zeros_(module.bias)
    return model
