"""The shape of a published CAM++, read from its config and checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from overtone.errors import CheckpointError
from overtone.models.config_reader import ConfigReader
from overtone.system.documents import shown

MELS = 80
"""Filters of its features. FunASR computes no others, whatever `feat_dim` says."""

_NUMBERS: Mapping[str, tuple[int, int]] = {
    "embedding_size": (192, 4096),
    "growth_rate": (32, 1024),
    "bn_size": (4, 64),
    "init_channels": (128, 8192),
}
"""Default of each, and the largest it may be."""

_ONLY: Mapping[str, Any] = {"feat_dim": MELS, "config_str": "batchnorm-relu", "output_level": "segment"}
"""The only values of the rest that are implemented."""


@dataclass(frozen=True, slots=True)
class CamPlusConfig:
    """Sizes of a CAM++.

    embedding: numbers that tell a voice. growth: channels that each layer adds. bottleneck: times as many inside it.
    channels: of the first layer.
    """

    embedding: int = 192
    growth: int = 32
    bottleneck: int = 4
    channels: int = 128

    @classmethod
    def from_config(cls, config: Mapping[str, Any], name: str) -> CamPlusConfig:
        """Read a `config.yaml`. CheckpointError naming the key, with the checkpoint's name, for a value that is not
        known."""
        if config.get("model") != "CAMPPlus":
            raise CheckpointError(f"{name}: config.yaml says model: {shown(config.get('model'))}, and not CAMPPlus.")
        reader = ConfigReader(config.get("model_conf", {}), name, "model_conf")
        for key, only in _ONLY.items():
            reader.only(key, only)
        sizes = {key: reader.integer(key, usual, most=most) for key, (usual, most) in _NUMBERS.items()}
        if sizes["growth_rate"] * sizes["bn_size"] % 2:
            raise CheckpointError(f"{name}: model_conf.growth_rate times bn_size must be even.")
        return cls(sizes["embedding_size"], sizes["growth_rate"], sizes["bn_size"], sizes["init_channels"])
