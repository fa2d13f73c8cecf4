"""Checkpoints in the published layout with seeded random weights, for benchmarks and tests: only the shape counts."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import torch

from overtone.models.emotion2vec.config import Architecture
from overtone.models.emotion2vec.network import Emotion2vec
from overtone.models.yaml_config import write_yaml

LABELS = [
    "生气/angry",
    "厌恶/disgusted",
    "恐惧/fearful",
    "开心/happy",
    "中立/neutral",
    "其他/other",
    "难过/sad",
    "吃惊/surprised",
    "<unk>",
]

BASE = {"embed_dim": 768, "num_heads": 12, "depth": 8, "prenet_depth": 4, "channels": 512}
LARGE = {"embed_dim": 1024, "num_heads": 16, "depth": 8, "prenet_depth": 4, "channels": 512}
SMALL = {"embed_dim": 48, "num_heads": 3, "depth": 2, "prenet_depth": 1, "channels": 24}
"""The published shapes, and one that runs a thousand times faster. Three heads: ALiBi's rule for non-powers of two.

`LARGE` is emotion2vec_plus_large: 185 tensors of 162 million numbers with its nine classes.
"""


def config(shape: dict[str, int], *, labels: bool = True, **audio_changes: Any) -> dict[str, Any]:
    """A `config.yaml` as FunASR publishes them, for a shape. `audio_changes`: to model_conf.modalities.audio."""
    channels = shape["channels"]
    spec = f"[({channels}, 10, 5)] + [({channels}, 3, 2)] * 4 + [({channels},2,2)] + [({channels},2,2)]"
    audio = {
        "type": "AUDIO",
        "prenet_depth": shape["prenet_depth"],
        "prenet_layerdrop": 0.05,
        "prenet_dropout": 0.1,
        "start_drop_path_rate": 0.0,
        "end_drop_path_rate": 0.0,
        "num_extra_tokens": 10,
        "init_extra_token_zero": True,
        "mask_noise_std": 0.01,
        "mask_prob": 0.5,
        "mask_length": 5,
        "local_grad_mult": 1.0,
        "use_alibi_encoder": True,
        "alibi_scale": 1.0,
        "learned_alibi": False,
        "alibi_max_pos": None,
        "learned_alibi_scale": True,
        "learned_alibi_scale_per_head": True,
        "learned_alibi_scale_per_layer": False,
        "num_alibi_heads": shape["num_heads"],
        "model_depth": shape["depth"],
        "decoder": None,
        "extractor_mode": "layer_norm",
        "feature_encoder_spec": spec,
        "conv_pos_width": 95,
        "conv_pos_groups": 16,
        "conv_pos_depth": 5,
        "conv_pos_pre_ln": False,
        **audio_changes,
    }
    model = {
        "depth": shape["depth"],
        "start_drop_path_rate": 0.0,
        "end_drop_path_rate": 0.0,
        "num_heads": shape["num_heads"],
        "norm_eps": 1e-5,
        "norm_affine": True,
        "encoder_dropout": 0.1,
        "post_mlp_drop": 0.1,
        "attention_dropout": 0.1,
        "activation_dropout": 0.0,
        "dropout_input": 0.0,
        "layerdrop": 0.05,
        "embed_dim": shape["embed_dim"],
        "mlp_ratio": 4.0,
        "layer_norm_first": False,
        "end_of_block_targets": False,
        "clone_batch": 8,
        "normalize": True,
        "modalities": {"audio": audio},
    }
    whole: dict[str, Any] = {"model": "Emotion2vec", "model_conf": model}
    if labels:
        whole |= {"tokenizer": "CharTokenizer", "tokenizer_conf": {"unk_symbol": "<unk>", "split_with_space": True}}
    return whole | {"scope_map": ["d2v_model.", "none"]}


def seeded_weights(shape: Architecture, rows: int, seed: int = 0) -> dict[str, torch.Tensor]:
    """Random weights, with every part that could be forgotten (extra tokens, scales, biases) away from its default."""
    generator = torch.Generator().manual_seed(seed)
    with torch.device("meta"):  # only the names and sizes are wanted, not what PyTorch would begin with
        weights = Emotion2vec(shape).state_dict()
    for name, tensor in weights.items():
        noise = torch.randn(tensor.shape, generator=generator)
        if name.endswith("alibi_scale"):
            weights[name] = 1 + 0.3 * noise
        elif tensor.dim() == 1:
            weights[name] = (1 if name.endswith("weight") else 0) + 0.1 * noise
        elif name.endswith("extra_tokens"):
            weights[name] = 0.5 * noise
        else:
            fan_in = tensor[0].numel()
            weights[name] = noise * (1.4 if ".local_encoder." in name else 1.0) / fan_in**0.5
    if rows:
        weights["proj.weight"] = torch.randn(rows, shape.embed_dim, generator=generator) / shape.embed_dim**0.5
        weights["proj.bias"] = 0.1 * torch.randn(rows, generator=generator)
    return weights


def write(
    folder: Path,
    shape: dict[str, int] = SMALL,
    *,
    labels: list[str] | None = LABELS,
    prefix: str = "d2v_model.",
    seed: int = 0,
    optimizer: bool = True,
    **audio_changes: Any,
) -> Path:
    """A whole checkpoint folder; `labels` None makes one without classes. Returns the folder.

    optimizer: whether `model.pt` holds what training keeps beside the weights, as the published ones do, which makes
    it three times as large.
    """
    folder.mkdir(parents=True, exist_ok=True)
    settings = config(shape, labels=labels is not None, **audio_changes)
    architecture = Architecture.from_config(copy.deepcopy(settings), str(folder))
    weights = seeded_weights(architecture, len(labels or ()), seed)
    named = {key if key.startswith("proj.") else prefix + key: value for key, value in weights.items()}
    torch.save(_training_state(named) if optimizer else {"model": named}, folder / "model.pt")
    (folder / "config.yaml").write_text(write_yaml(settings), encoding="utf-8")
    metas: dict[str, Any] = {"init_param": "model.pt", "config": "config.yaml"}
    if labels is not None:
        (folder / "tokens.txt").write_text("\n".join(labels), encoding="utf-8")  # the last line has no end
        metas["tokenizer_conf"] = {"token_list": "tokens.txt"}
    description = {"framework": "pytorch", "model": {"type": "funasr"}, "file_path_metas": metas}
    (folder / "configuration.json").write_text(json.dumps(description), encoding="utf-8")
    return folder


def _training_state(weights: dict[str, torch.Tensor]) -> dict[str, Any]:
    """A checkpoint as fairseq saves it in training: the weights, and Adam's two moments of each, of the same size."""
    moments = {
        place: {"step": 100_000, "exp_avg": torch.zeros_like(weight), "exp_avg_sq": torch.zeros_like(weight)}
        for place, weight in enumerate(weights.values())
    }
    return {
        "args": None,
        "cfg": {"_name": None, "common": {"seed": 1, "fp16": True}, "optimizer": {"lr": [7.5e-05]}},
        "model": weights,
        "criterion": None,
        "optimizer_history": [{"optimizer_name": "Adam", "num_updates": 100_000}],
        "task_state": {},
        "extra_state": {"train_iterator": {"epoch": 20}},
        "last_optimizer_state": {"state": moments, "param_groups": []},
    }
