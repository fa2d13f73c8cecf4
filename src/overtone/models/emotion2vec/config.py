"""The shape of an emotion2vec network, read from a checkpoint's own `config.yaml`. No torch here."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from overtone.errors import CheckpointError
from overtone.models.config_reader import MOST_LAYERS, ConfigReader
from overtone.system.documents import shown

ConvLayer = tuple[int, int, int]
"""(output channels, kernel size, stride) of one layer of the convolutional feature extractor."""

_LARGEST_SPEC = 64
"""Layers. Published networks have 7; a config that asks for more than this is broken or hostile."""

_LONGEST_SPEC = 4096
"""Characters of it."""

_LONGEST_FRAME = 16_000
"""Samples that a frame may see: a second, of which published ones see 25 ms."""

_LARGEST_SCOPE = 64
"""Names in `scope_map`. Published ones have two."""

_BELOW = 1e6
"""Limit of numbers, either side of 0."""

_reader = partial(ConfigReader, wrong="config.yaml needs {key} ({meant}), found {found}.")
"""Reader of one section, by its values, the checkpoint's name, and the section's key."""


@dataclass(frozen=True, slots=True)
class Architecture:
    """Everything that the network is built from. Field names are FunASR's, so that a config can be read beside it."""

    conv_layers: tuple[ConvLayer, ...]
    embed_dim: int
    num_heads: int
    depth: int
    prenet_depth: int
    mlp_ratio: float
    num_extra_tokens: int
    conv_pos_depth: int
    conv_pos_width: int
    conv_pos_groups: int
    conv_pos_pre_ln: bool
    num_alibi_heads: int
    use_alibi_encoder: bool
    learned_alibi_scale_per_layer: bool
    learned_alibi_scale_per_head: bool
    alibi_scale: float
    layer_norm_first: bool
    norm_eps: float
    norm_affine: bool
    normalize: bool

    @classmethod
    def from_config(cls, config: Mapping[str, Any], name: str) -> Architecture:
        """Read a FunASR `config.yaml` mapping. `name` is for messages.

        Raises CheckpointError where a field is missing, of the wrong type, or asks for something this network
        does not implement. Nothing in the config is evaluated as code.
        """
        kind = config.get("model")
        if kind != "Emotion2vec":
            raise CheckpointError(
                f"{name}: config.yaml describes the model {shown(kind)}; overtone reads 'Emotion2vec' here."
            )
        reader = _reader(
            config.get("model_conf"), name, "model_conf", no_mapping="config.yaml has no mapping 'model_conf.'."
        )
        audio = _reader(
            reader.typed("modalities", dict).get("audio"),
            name,
            "model_conf.modalities.audio",
            no_mapping="config.yaml has no mapping 'model_conf.modalities.audio'.",
        )
        mode = audio.typed("extractor_mode", str, "layer_norm")
        if mode != "layer_norm":
            raise CheckpointError(
                f"{name}: extractor_mode {shown(mode)} normalises over the whole file, which no batch can keep exact; "
                "only 'layer_norm' (all published emotion2vec checkpoints) is read."
            )
        if audio.typed("learned_alibi", bool, False):
            raise CheckpointError(f"{name}: learned_alibi is not supported (no published checkpoint uses it).")
        heads = reader.typed("num_heads", int)
        architecture = cls(
            conv_layers=parse_conv_spec(audio.typed("feature_encoder_spec", str), name),
            embed_dim=reader.typed("embed_dim", int),
            num_heads=heads,
            depth=reader.typed("depth", int),
            prenet_depth=audio.typed("prenet_depth", int),
            mlp_ratio=_finite(reader, "mlp_ratio"),
            num_extra_tokens=audio.typed("num_extra_tokens", int, 0),
            conv_pos_depth=audio.typed("conv_pos_depth", int),
            conv_pos_width=audio.typed("conv_pos_width", int),
            conv_pos_groups=audio.typed("conv_pos_groups", int),
            conv_pos_pre_ln=audio.typed("conv_pos_pre_ln", bool, False),
            num_alibi_heads=audio.typed("num_alibi_heads", int, heads),
            use_alibi_encoder=audio.typed("use_alibi_encoder", bool, False),
            learned_alibi_scale_per_layer=audio.typed("learned_alibi_scale_per_layer", bool, False),
            learned_alibi_scale_per_head=audio.typed("learned_alibi_scale_per_head", bool, False),
            alibi_scale=_finite(audio, "alibi_scale", 1.0),
            layer_norm_first=reader.typed("layer_norm_first", bool, False),
            norm_eps=_finite(reader, "norm_eps", 1e-5),
            norm_affine=reader.typed("norm_affine", bool, True),
            normalize=reader.typed("normalize", bool, True),
        )
        architecture._check(name)
        return architecture

    def _check(self, name: str) -> None:
        sizes = {
            "embed_dim": (self.embed_dim, 1, 8192),
            "num_heads": (self.num_heads, 1, 256),
            "depth": (self.depth, 0, MOST_LAYERS),
            "prenet_depth": (self.prenet_depth, 0, MOST_LAYERS),
            "num_extra_tokens": (self.num_extra_tokens, 0, 4096),
            "conv_pos_depth": (self.conv_pos_depth, 1, 64),
            "conv_pos_width": (self.conv_pos_width, 1, 4096),
            "conv_pos_groups": (self.conv_pos_groups, 1, 4096),
        }
        for field, (value, low, high) in sizes.items():
            if not low <= value <= high:
                raise CheckpointError(
                    f"{name}: config.yaml says {field} = {shown(value)}; {low} to {high} is possible."
                )
        if not 0 < self.norm_eps <= 1:
            raise CheckpointError(f"{name}: config.yaml says norm_eps = {self.norm_eps}; above 0 to 1 is possible.")
        if not (self.mlp_ratio <= 64 and self.embed_dim * self.mlp_ratio >= 1):
            raise CheckpointError(
                f"{name}: config.yaml says mlp_ratio = {self.mlp_ratio}; 1 / embed_dim to 64 is possible."
            )
        if self.embed_dim % self.num_heads or self.embed_dim % self.conv_pos_groups:
            raise CheckpointError(
                f"{name}: embed_dim {self.embed_dim} is not a multiple of num_heads {self.num_heads} "
                f"and conv_pos_groups {self.conv_pos_groups}."
            )
        if not (self.hop_samples <= self.receptive_samples <= _LONGEST_FRAME):
            raise CheckpointError(
                f"{name}: feature_encoder_spec makes a frame of {shown(self.receptive_samples)} samples every "
                f"{shown(self.hop_samples)}; up to {_LONGEST_FRAME} are possible, and none may be left out."
            )
        if self.use_alibi_encoder and self.num_alibi_heads != self.num_heads:
            raise CheckpointError(f"{name}: num_alibi_heads must equal num_heads ({self.num_heads}).")

    @property
    def hop_samples(self) -> int:
        """Samples between two frames: the product of the strides, 320 (20 ms) in published checkpoints."""
        hop = 1
        for _, _, stride in self.conv_layers:
            hop *= stride
        return hop

    @property
    def receptive_samples(self) -> int:
        """Samples that one frame sees: 400 (25 ms) in published checkpoints."""
        field, hop = 1, 1
        for _, kernel, stride in self.conv_layers:
            field += (kernel - 1) * hop
            hop *= stride
        return field

    def frames_of(self, samples: int) -> int:
        """Frames that the feature extractor makes of `samples` samples (0 if too short for one)."""
        # Valid convolutions compose: the chain is one window of `receptive_samples` moved by `hop_samples`.
        return max(0, (samples - self.receptive_samples) // self.hop_samples + 1)

    def samples_for(self, frames: int) -> int:
        """Fewest samples that make `frames` frames."""
        return (frames - 1) * self.hop_samples + self.receptive_samples if frames > 0 else 0

    @property
    def conv_pos_kernel(self) -> int:
        """Kernel of each positional convolution (data2vec 2.0: the width shared out over the depth, at least 3)."""
        return max(3, self.conv_pos_width // self.conv_pos_depth)


def scope_prefixes(config: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """Prefixes of the tensors' names, which `scope_map` gives as a list or between commas, each with what replaces it.

    CheckpointError, with the checkpoint's name, for anything else.
    """
    scope = config.get("scope_map")
    pairs = scope.split(",") if isinstance(scope, str) else scope or []
    if not isinstance(pairs, list) or not all(isinstance(one, str | None) for one in pairs):
        raise CheckpointError(f"{name}: scope_map in config.yaml is {shown(scope)}, not a list of names.")
    if len(pairs) > _LARGEST_SCOPE:
        raise CheckpointError(
            f"{name}: scope_map in config.yaml has {len(pairs)} names; {_LARGEST_SCOPE} are possible."
        )
    return tuple(prefix for prefix in pairs[0::2] if prefix is not None and prefix.lower() != "none")


def _finite(reader: ConfigReader, key: str, default: float | None = None) -> float:
    return reader.number(key, default, least=-_BELOW, meant="number")


def parse_conv_spec(spec: str, name: str) -> tuple[ConvLayer, ...]:
    """Read a fairseq layer list such as `[(512, 10, 5)] + [(512, 3, 2)] * 4`, which FunASR gives to `eval`.

    Only integers, tuples, lists, `+` and `*` are understood; anything else raises CheckpointError.
    """

    def value(node: ast.expr) -> Any:
        if isinstance(node, ast.Constant) and type(node.value) is int:
            return node.value
        if isinstance(node, ast.Tuple):
            return tuple(value(item) for item in node.elts)
        if isinstance(node, ast.List):
            return [value(item) for item in node.elts]
        if isinstance(node, ast.BinOp):
            left, right = value(node.left), value(node.right)
            if isinstance(node.op, ast.Add) and isinstance(left, list) and isinstance(right, list):
                return _bounded(left + right)
            if isinstance(node.op, ast.Mult) and isinstance(left, list) and isinstance(right, int):
                return _bounded(left * min(max(right, 0), _LARGEST_SPEC + 1))
        raise ValueError

    def _bounded(layers: list[Any]) -> list[Any]:
        if len(layers) > _LARGEST_SPEC:
            raise ValueError
        return layers

    try:
        if len(spec) > _LONGEST_SPEC:
            raise ValueError
        layers = value(ast.parse(spec, mode="eval").body)
        good = (
            isinstance(layers, list)
            and len(layers) > 0
            and all(
                isinstance(layer, tuple)
                and len(layer) == 3
                and all(isinstance(n, int) and 0 < n <= 8192 for n in layer)
                for layer in layers
            )
        )
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        good = False
    if not good:
        raise CheckpointError(
            f"{name}: feature_encoder_spec {shown(spec)} is not a list of (channels, kernel, stride)."
        )
    return tuple(layers)
