"""The shape of a SenseVoice network, read from `config.yaml` and checked. Knows no PyTorch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from overtone.errors import CheckpointError
from overtone.models.config_reader import ConfigReader
from overtone.models.layers.sanm_config import SanmConfig
from overtone.models.sense_voice.ctc_alignment import BLANK
from overtone.models.sense_voice.task import frontend_config
from overtone.system.documents import shown

EMBEDDINGS = 16
"""Rows of the table that the frames before those of the speech come from; see `overtone.models.sense_voice.task`."""

_ONLY: Mapping[str, tuple[Any, ...]] = {"encoder": ("SenseVoiceEncoderSmall",), "normalize": (None,)}


def encoder_config(config: Mapping[str, Any], name: str) -> SanmConfig:
    """The encoder, for the features of its frontend. CheckpointError, with the checkpoint's name and the key, for a
    value that is not known."""
    for key, allowed in _ONLY.items():
        if config.get(key) not in allowed:
            found = shown(config.get(key))
            raise CheckpointError(f"{name}: {key} in config.yaml is {found}; known is {allowed[0]!r}.")
    sections = {
        key: {} if config.get(key) is None else config[key] for key in ("ctc_conf", "model_conf", "encoder_conf")
    }
    ctc, model = (ConfigReader(sections[key], name, key) for key in ("ctc_conf", "model_conf"))
    ctc.only("extra_linear", True)
    model.only("blank_id", BLANK)
    size = frontend_config(config, name).dim
    return SanmConfig.from_config(sections["encoder_conf"], size, name, kind=str(config["encoder"]))
