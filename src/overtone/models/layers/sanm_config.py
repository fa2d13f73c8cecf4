"""Configuration of a SANM encoder from `config.yaml`, checked. Knows no PyTorch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from overtone.errors import CheckpointError
from overtone.models.config_reader import MOST_LAYERS, ConfigReader
from overtone.system.documents import shown

KINDS: Mapping[str, float] = {"SANMEncoder": 1e-12, "SenseVoiceEncoderSmall": 1e-5}
"""Encoders by the names of their classes, with the epsilon of their layer normalizations (PyTorch's in the second)."""

_MOST_HEADS, _LONGEST_KERNEL = 256, 4096
"""Limits far above the 4 or 8 heads and the 11 or 21 frames of published encoders."""

_POSITIONS: Mapping[str | None, bool] = {"pe": True, "pe_online": True, None: False}
_ONLY: Mapping[str, tuple[Any, ...]] = {
    "normalize_before": (True,),
    "concat_after": (False,),
    "positionwise_layer_type": ("linear",),
    "selfattention_layer_type": ("sanm",),
    "interctc_layer_idx": ([], None),
    "lora_list": ([], None),
}


@dataclass(frozen=True, slots=True)
class SanmConfig:
    """Shape of a SANM encoder: self-attention beside a memory of neighboring frames (https://arxiv.org/abs/2006.01713).

    - `input_size`: numbers in a feature vector.
    - `size`: in a hidden one.
    - `units`: in the middle of a feed-forward part.
    - `blocks`: of the first stack, at least one.
    - `more_blocks`: of SenseVoice's second one.
    - `kernel`: frames that the memory looks over, `shift` of them moved from after to before.
    - `positions`: True if sinusoids are added to the features.
    """

    input_size: int
    size: int = 256
    heads: int = 4
    units: int = 2048
    blocks: int = 6
    more_blocks: int | None = None
    kernel: int = 11
    shift: int = 0
    positions: bool = True
    epsilon: float = KINDS["SANMEncoder"]

    @classmethod
    def from_config(
        cls, conf: Mapping[str, Any], input_size: int, name: str, *, kind: str = "SANMEncoder"
    ) -> SanmConfig:
        """Read `encoder_conf` of a `config.yaml` whose `encoder` is `kind`.

        CheckpointError, with the checkpoint's name and the key, for what this encoder cannot do.
        """
        if kind not in KINDS:
            raise CheckpointError(f"{name}: encoder in config.yaml is {shown(kind)}; known are {', '.join(KINDS)}.")
        reader = ConfigReader(conf, name, "encoder_conf")
        second = kind == "SenseVoiceEncoderSmall"
        for key, allowed in _ONLY.items():
            reader.only(key, *allowed)
        positions = second
        if not second:
            layer = reader.get("input_layer", "conv2d")
            if not isinstance(layer, str | None) or layer not in _POSITIONS:
                raise reader.error("input_layer", layer, "; only 'pe' is known.")
            positions = _POSITIONS[layer]
        config = cls(
            input_size=input_size,
            size=reader.integer("output_size", 256),
            heads=reader.integer("attention_heads", 4, most=_MOST_HEADS),
            units=reader.integer("linear_units", 2048),
            blocks=reader.integer("num_blocks", 6, most=MOST_LAYERS),
            more_blocks=reader.integer("tp_blocks", 0, least=0, most=MOST_LAYERS) if second else None,
            kernel=reader.integer("kernel_size", 11, most=_LONGEST_KERNEL),
            shift=reader.integer("sanm_shfit", 0, least=0),
            positions=positions,
            epsilon=KINDS[kind],
        )
        config.check(name)
        return config

    def check(self, name: str) -> None:
        """CheckpointError, with the checkpoint's name, for numbers that do not go together."""
        if self.size % self.heads:
            raise CheckpointError(
                f"{name}: encoder_conf.output_size {self.size} does not divide into attention_heads {self.heads}."
            )
        if self.shift > self.kernel // 2:
            raise CheckpointError(
                f"{name}: encoder_conf.sanm_shfit {self.shift} leads out of kernel_size {self.kernel}."
            )
        if self.positions and (self.input_size % 2 or self.input_size < 4):
            raise CheckpointError(f"{name}: input_size {self.input_size} is not even, so it has no sinusoids.")
        if not self.positions and self.input_size != self.size:
            raise CheckpointError(
                f"{name}: without an input_layer, input_size {self.input_size} must be output_size {self.size}."
            )
