"""A checkpoint of every family of models as FunASR lays them out, with seeded random weights, small.

Those of the words are the oracles' of the tests. The emotion model is FunASR's own class here. Made once: both
recordings are of the same folder.
"""

from __future__ import annotations

import json
import warnings
from importlib import import_module
from pathlib import Path
from typing import Any

LABELS = ("生气/angry", "厌恶/disgusted", "恐惧/fearful", "开心/happy", "中立/neutral", "难过/sad", "unuse_6", "<unk>")
_DIM, _HEADS, _DEPTH = 48, 3, 2  # three heads: ALiBi's rule where they are no power of two

_AUDIO: dict[str, Any] = {
    "type": "AUDIO",
    "prenet_depth": 1,
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
    "num_alibi_heads": _HEADS,
    "model_depth": _DEPTH,
    "decoder": None,
    "extractor_mode": "layer_norm",
    "feature_encoder_spec": "[(24, 10, 5)] + [(24, 3, 2)] * 4 + [(24,2,2)] + [(24,2,2)]",
    "conv_pos_width": 95,
    "conv_pos_groups": 16,
    "conv_pos_depth": 5,
    "conv_pos_pre_ln": False,
}
_MODEL: dict[str, Any] = {
    "depth": _DEPTH,
    "start_drop_path_rate": 0.0,
    "end_drop_path_rate": 0.0,
    "num_heads": _HEADS,
    "norm_eps": 1e-5,
    "norm_affine": True,
    "encoder_dropout": 0.1,
    "post_mlp_drop": 0.1,
    "attention_dropout": 0.1,
    "activation_dropout": 0.0,
    "dropout_input": 0.0,
    "layerdrop": 0.05,
    "embed_dim": _DIM,
    "mlp_ratio": 4.0,
    "layer_norm_first": False,
    "end_of_block_targets": False,
    "clone_batch": 8,
    "normalize": True,
    "modalities": {"audio": _AUDIO},
}


def make(folder: Path) -> list[str]:
    """Write all of them; their names."""
    named = ("sense_voice", "paraformer", "fsmn_vad", "campplus")
    words = {name: import_module(f"helpers.oracles.{name}") for name in named}
    marks = import_module("helpers.oracles.ct_transformer")
    emotion(folder / "emotion2vec", LABELS)
    emotion(folder / "emotion2vec-base", ())
    words["sense_voice"].publish(folder / "sensevoice")
    kinds = {"plain": "Paraformer", "bicif": "BiCifParaformer", "seaco": "SeacoParaformer"}
    for name, kind in {**kinds, "streaming": "ParaformerStreaming"}.items():
        words["paraformer"].publish(folder / f"paraformer-{name}", kind=kind)
    words["fsmn_vad"].publish(folder / "fsmn-vad")
    words["campplus"].publish(folder / "campplus")
    marks.publish(folder / "ct-transformer")
    marks.publish(folder / "ct-transformer-dictionary", dictionary=True)
    return sorted(path.name for path in folder.iterdir())


def emotion(folder: Path, labels: tuple[str, ...], *, seed: int = 0) -> None:
    """Write an emotion2vec; without labels it has no classes, as the self-supervised one."""
    import torch

    as_written = import_module("helpers.oracles.config").as_written
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from funasr.models.emotion2vec.model import Emotion2vec
    network = Emotion2vec(model_conf=_MODEL, vocab_size=len(labels) or -1)
    random = torch.Generator().manual_seed(seed)
    weights = {
        name if name.startswith("proj.") else f"d2v_model.{name}": _drawn(name, tensor, random)
        for name, tensor in network.state_dict().items()
    }
    folder.mkdir(parents=True)
    torch.save({"model": weights}, folder / "model.pt")
    config: dict[str, Any] = {"model": "Emotion2vec", "model_conf": _MODEL, "scope_map": ["d2v_model.", "none"]}
    metas: dict[str, Any] = {"init_param": "model.pt", "config": "config.yaml"}
    if labels:
        config |= {"tokenizer": "CharTokenizer", "tokenizer_conf": {"unk_symbol": "<unk>", "split_with_space": True}}
        metas["tokenizer_conf"] = {"token_list": "tokens.txt"}
        (folder / "tokens.txt").write_text("\n".join(labels), encoding="utf-8")
    (folder / "config.yaml").write_text(as_written(config), encoding="utf-8")
    described = {"framework": "pytorch", "model": {"type": "funasr"}, "file_path_metas": metas}
    (folder / "configuration.json").write_text(json.dumps(described), encoding="utf-8")


def _drawn(name: str, tensor: Any, random: Any) -> Any:
    """Weights of a size that keeps layers apart, and nothing that could be forgotten at its default."""
    import torch

    noise = torch.randn(tensor.shape, generator=random)
    if name.endswith("alibi_scale"):
        return 1 + 0.3 * noise
    if tensor.dim() == 1:
        return (1 if name.endswith("weight") else 0) + 0.1 * noise
    if name.endswith("extra_tokens"):
        return 0.5 * noise
    return noise * (1.4 if ".local_encoder." in name else 1.0) / tensor[0].numel() ** 0.5
