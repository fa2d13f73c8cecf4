"""The shape of an FSMN, read from a checkpoint's `config.yaml`. No torch here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from overtone.errors import CheckpointError
from overtone.models.config_reader import MOST_LAYERS, ConfigReader
from overtone.system.documents import shown

_WIDEST = 8192
"""Numbers in a vector. The published network has up to 400."""

_MOST: Mapping[str, int] = {"fsmn_layers": MOST_LAYERS, "lorder": 256, "lstride": 16}
"""Limits of the rest. What a stream remembers is as long as the last two together, which no weight would tell; the
published network has 4 layers, with 20 and 1."""


@dataclass(frozen=True, slots=True)
class FsmnConfig:
    """`encoder_conf`, with FunASR's names."""

    input_dim: int
    input_affine_dim: int
    fsmn_layers: int
    linear_dim: int
    proj_dim: int
    lorder: int
    lstride: int
    output_affine_dim: int
    output_dim: int

    @classmethod
    def from_config(cls, config: Mapping[str, Any], name: str) -> FsmnConfig:
        """Read a whole `config.yaml` of an `FsmnVADStreaming`. CheckpointError, naming the key, for an unknown
        value."""
        for key, only in (("model", "FsmnVADStreaming"), ("encoder", "FSMN")):
            if config.get(key) != only:
                raise CheckpointError(
                    f"{name}: config.yaml says {key}: {shown(config.get(key))}; only {only!r} is read here."
                )
        reader = ConfigReader(config.get("encoder_conf"), name, "encoder_conf")
        sizes = {field.name: reader.integer(field.name, most=_MOST.get(field.name, _WIDEST)) for field in fields(cls)}
        if (later := reader.integer("rorder", 0, least=0)) != 0:
            raise reader.error("rorder", later, "; a network that hears what is to come is not read.")
        reader.only("use_softmax", True)
        if sizes["lorder"] < 2:
            raise reader.error("lorder", sizes["lorder"], "; 2 is the least.")
        return cls(**sizes)

    @property
    def memory(self) -> tuple[int, int, int, int]:
        """Shape of the memory that is carried from block to block: (layers, 1, proj_dim, frames)."""
        return self.fsmn_layers, 1, self.proj_dim, (self.lorder - 1) * self.lstride
