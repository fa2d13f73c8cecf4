"""The shape of an FSMN, read from a checkpoint's `config.yaml`. No torch here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from overtone.errors import CheckpointError

_LARGEST = 65_536
"""Published ones are all below 500; a config that asks for more than this is broken or hostile."""


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
        conf = config.get("encoder_conf")
        if not isinstance(conf, Mapping):
            raise CheckpointError(f"{name}: encoder_conf in config.yaml is not a mapping.")
        for field in fields(cls):
            value = conf.get(field.name)
            if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= _LARGEST:
                raise CheckpointError(f"{name}: encoder_conf.{field.name} is {value!r}, not a number from 1 on.")
        if conf.get("rorder", 0) != 0:
            raise CheckpointError(
                f"{name}: encoder_conf.rorder is {conf['rorder']!r}; a network that hears what is to come is not read."
            )
        if conf.get("use_softmax", True) is not True:
            raise CheckpointError(f"{name}: encoder_conf.use_softmax is {conf['use_softmax']!r}; only True is known.")
        if conf["lorder"] < 2:
            raise CheckpointError(f"{name}: encoder_conf.lorder is {conf['lorder']}; 2 is the least.")
        return cls(**{field.name: conf[field.name] for field in fields(cls)})

    @property
    def memory(self) -> tuple[int, int, int, int]:
        """Shape of the memory that is carried from block to block: (layers, 1, proj_dim, frames)."""
        return self.fsmn_layers, 1, self.proj_dim, (self.lorder - 1) * self.lstride
