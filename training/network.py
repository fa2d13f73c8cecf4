"""The network's shape, as FunASR's `config.yaml` says it, and ways into and out of its front end."""

from __future__ import annotations

from typing import Any

import torch
from training.data import LETTERS, TOKENS

from overtone.models.architecture import Architecture
from overtone.models.emotion2vec import Emotion2vec

CONV_SPEC = "[(64, 10, 5)] + [(64, 3, 2)] * 2 + [(128, 3, 2)] * 2 + [(192, 2, 2)] * 2"
"""Narrow where the sampling rate is high: most of the arithmetic is in the first layers."""

CHANNELS = 192
"""Width of the last layer of `CONV_SPEC`."""


def config(embed_dim: int = 128, num_heads: int = 4, depth: int = 1, prenet_depth: int = 1) -> dict[str, Any]:
    """The whole of `config.yaml`: what FunASR's class needs, most of which matters only in its own training."""
    audio = {
        "type": "AUDIO",
        "prenet_depth": prenet_depth,
        "prenet_layerdrop": 0.0,
        "prenet_dropout": 0.0,
        "start_drop_path_rate": 0.0,
        "end_drop_path_rate": 0.0,
        "num_extra_tokens": 10,
        "init_extra_token_zero": True,
        "mask_noise_std": 0.01,
        "mask_prob_min": None,
        "mask_prob": 0.5,
        "inverse_mask": False,
        "mask_prob_adjust": 0.05,
        "keep_masked_pct": 0.0,
        "mask_length": 5,
        "add_masks": False,
        "remove_masks": False,
        "mask_dropout": 0.0,
        "encoder_zero_mask": True,
        "mask_channel_prob": 0.0,
        "mask_channel_length": 64,
        "ema_local_encoder": False,
        "local_grad_mult": 1.0,
        "use_alibi_encoder": True,
        "alibi_scale": 1.0,
        "learned_alibi": False,
        "alibi_max_pos": None,
        "learned_alibi_scale": True,
        "learned_alibi_scale_per_head": True,
        "learned_alibi_scale_per_layer": False,
        "num_alibi_heads": num_heads,
        "model_depth": depth,
        "decoder": None,
        "extractor_mode": "layer_norm",
        "feature_encoder_spec": CONV_SPEC,
        "conv_pos_width": 95,
        "conv_pos_groups": 16,
        "conv_pos_depth": 5,
        "conv_pos_pre_ln": False,
    }
    model = {
        "loss_beta": 0.0,
        "loss_scale": None,
        "depth": depth,
        "start_drop_path_rate": 0.0,
        "end_drop_path_rate": 0.0,
        "num_heads": num_heads,
        "norm_eps": 1e-5,
        "norm_affine": True,
        "encoder_dropout": 0.0,
        "post_mlp_drop": 0.0,
        "attention_dropout": 0.0,
        "activation_dropout": 0.0,
        "dropout_input": 0.0,
        "layerdrop": 0.0,
        "embed_dim": embed_dim,
        "mlp_ratio": 4.0,
        "layer_norm_first": False,
        "average_top_k_layers": depth,
        "end_of_block_targets": False,
        "clone_batch": 1,
        "normalize": True,
        "modalities": {"audio": audio},
    }
    return {
        "model": "Emotion2vec",
        "model_conf": model,
        "tokenizer": "CharTokenizer",
        # FunASR wants the unknown symbol among the labels; no text is ever tokenised here.
        "tokenizer_conf": {"unk_symbol": TOKENS[LETTERS.index("N")], "split_with_space": True},
    }


def build(settings: dict[str, Any]) -> Emotion2vec:
    """A freshly initialised network. Linear weights start small, as in data2vec 2.0."""
    model = Emotion2vec(Architecture.from_config(settings, "training/network.py"))
    for module in model.modules():
        if isinstance(module, torch.nn.Linear):
            torch.nn.init.trunc_normal_(module.weight, std=0.02)
            torch.nn.init.zeros_(module.bias)
    return model
