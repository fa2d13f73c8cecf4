"""What `config.yaml` says of a CT-Transformer, checked. Knows no PyTorch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from overtone.errors import CheckpointError
from overtone.models.sanm_config import SanmConfig
from overtone.punctuation.config import Marks


@dataclass(frozen=True, slots=True)
class CtTransformerConfig:
    """Shape of a CT-Transformer. marks: how many it chooses from. A word's vector has the encoder's `input_size`."""

    encoder: SanmConfig
    marks: int

    @classmethod
    def from_config(cls, config: Mapping[str, Any], name: str) -> CtTransformerConfig:
        """Read a `config.yaml`. CheckpointError, with the checkpoint's name and the key, for what is not known."""
        if config.get("model") != "CTTransformer":
            raise CheckpointError(f"{name}: model in config.yaml is {config.get('model')!r}, not 'CTTransformer'.")
        marks = len(Marks.from_config(config, name).shown)
        conf = config["model_conf"]
        if config.get("encoder") != "SANMEncoder":
            raise CheckpointError(f"{name}: encoder in config.yaml is {config.get('encoder')!r}, not 'SANMEncoder'.")
        said = config.get("encoder_conf")
        if not isinstance(said, Mapping):
            raise CheckpointError(f"{name}: encoder_conf in config.yaml is not a mapping.")
        size = conf.get("embed_unit", 128)
        if not isinstance(size, int) or isinstance(size, bool) or not 1 <= size <= 1 << 16:
            raise CheckpointError(f"{name}: model_conf.embed_unit is {size!r}, not a number of at least 1.")
        if said.get("input_size") != size:
            raise CheckpointError(
                f"{name}: encoder_conf.input_size {said.get('input_size')!r} is not model_conf.embed_unit {size}."
            )
        encoder = SanmConfig.from_config(said, size, name)
        if conf.get("att_unit", 256) != encoder.size:
            raise CheckpointError(
                f"{name}: model_conf.att_unit {conf.get('att_unit', 256)!r} is not encoder_conf.output_size "
                f"{encoder.size}."
            )
        return cls(encoder, marks)
