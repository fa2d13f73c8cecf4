"""The shape of an FSMN, read from a checkpoint's `config.yaml`. No torch here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from overtone.errors import CheckpointError
from overtone.models.config_reader import ConfigReader


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
                    f"{name}: config.yaml says {key}: {config.get(key)!r}; only {only!r} is read here."
                )
        reader = ConfigReader(config.get("encoder_conf"), name, "encoder_conf")
        sizes = {field.name: reader.integer(field.name, meant="a number from 1 on") for field in fields(cls)}
        if (later := reader.get("rorder", 0)) != 0:
            raise reader.error("rorder", later, "; a network that hears what is to come is not read.")
        if (softmax := reader.get("use_softmax", True)) is not True:
            raise reader.error("use_softmax", softmax, "; only True is known.")
        if sizes["lorder"] < 2:
            raise reader.error("lorder", sizes["lorder"], "; 2 is the least.")
        return cls(**sizes)

    @property
    def memory(self) -> tuple[int, int, int, int]:
        """Shape of the memory that is carried from block to block: (layers, 1, proj_dim, frames)."""
        return self.fsmn_layers, 1, self.proj_dim, (self.lorder - 1) * self.lstride
