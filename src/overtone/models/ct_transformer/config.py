"""Shape and marks of a published CT-Transformer, checked. Knows no PyTorch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from overtone.errors import CheckpointError
from overtone.models.config_reader import ConfigReader
from overtone.models.layers.sanm_config import SanmConfig
from overtone.models.tokenizers.vocabulary import UNKNOWN
from overtone.system.documents import shown

GRAPH = "punctuation"
"""The model's only graph."""

_MOST_MARKS, _LONGEST_MARK = 256, 16
"""Entries of the list of marks, and characters of one. The published list has six, `<unk>` the longest."""

NONE = "_"
"""The entry of the list of marks for no mark."""
COMMA, STOP, QUESTION = "，", "。", "？"


@dataclass(frozen=True, slots=True, eq=False)
class PunctuationLabels:
    """The marks that a model knows, by id. `shown`: as they are written, "" for none. `stop`: id of the full stop.

    `ends`, `commas`: bool (marks,), whether a mark ends a sentence, and whether it is a comma.
    """

    shown: tuple[str, ...]
    stop: int
    ends: npt.NDArray[np.bool_]
    commas: npt.NDArray[np.bool_]

    @classmethod
    def from_config(cls, config: Mapping[str, Any], name: str) -> PunctuationLabels:
        """Read `model_conf` of a `config.yaml`. CheckpointError, with the checkpoint's name, for a value that is not
        known."""
        conf = config.get("model_conf")
        listed = conf.get("punc_list") if isinstance(conf, Mapping) else None
        if not isinstance(listed, list) or not all(isinstance(mark, str) and mark for mark in listed):
            raise CheckpointError(f"{name}: model_conf.punc_list in config.yaml is no list of marks.")
        if len(listed) > _MOST_MARKS or (long := max(map(len, listed), default=0)) > _LONGEST_MARK:
            found = f"{len(listed)} marks" if len(listed) > _MOST_MARKS else f"a mark of {long} characters"
            raise CheckpointError(
                f"{name}: model_conf.punc_list in config.yaml has {found}; {_MOST_MARKS} of {_LONGEST_MARK} characters "
                "are possible."
            )
        if listed[:2] != [UNKNOWN, NONE]:
            raise CheckpointError(f"{name}: model_conf.punc_list in config.yaml begins not with {UNKNOWN} and {NONE}.")
        stop = conf.get("sentence_end_id", 3) if isinstance(conf, Mapping) else 3
        if not isinstance(stop, int) or isinstance(stop, bool) or not 0 <= stop < len(listed) or listed[stop] != STOP:
            raise CheckpointError(
                f"{name}: model_conf.sentence_end_id in config.yaml is {shown(stop)}, which is not {STOP} in punc_list."
            )
        written = ("", "", *listed[2:])  # the model is not trained to give <unk>
        ends, commas = (np.array([mark in some for mark in listed]) for some in ((STOP, QUESTION), (COMMA,)))
        return cls(written, stop, ends, commas)

    def ids(self, marks: list[str]) -> list[int]:
        """Ids of marks as they are written, as FunASR's `punc_array` has them."""
        known = {mark: at for at, mark in reversed(list(enumerate(self.shown))) if mark}
        return [known.get(mark, 1) for mark in marks]


@dataclass(frozen=True, slots=True)
class CtTransformerConfig:
    """Shape of a CT-Transformer. marks: how many it chooses from. A word's vector has the encoder's `input_size`."""

    encoder: SanmConfig
    marks: int

    @classmethod
    def from_config(cls, config: Mapping[str, Any], name: str) -> CtTransformerConfig:
        """Read a `config.yaml`. CheckpointError, with the checkpoint's name and the key, for a value that is not
        known."""
        if config.get("model") != "CTTransformer":
            raise CheckpointError(f"{name}: model in config.yaml is {shown(config.get('model'))}, not 'CTTransformer'.")
        marks = len(PunctuationLabels.from_config(config, name).shown)
        if config.get("encoder") != "SANMEncoder":
            raise CheckpointError(
                f"{name}: encoder in config.yaml is {shown(config.get('encoder'))}, not 'SANMEncoder'."
            )
        model, said = (ConfigReader(config.get(key), name, key) for key in ("model_conf", "encoder_conf"))
        size = model.integer("embed_unit", 128)
        if (given := said.integer("input_size")) != size:
            raise CheckpointError(f"{name}: encoder_conf.input_size {given} is not model_conf.embed_unit {size}.")
        encoder = SanmConfig.from_config(config["encoder_conf"], size, name)
        if (attended := model.integer("att_unit", 256)) != encoder.size:
            raise CheckpointError(
                f"{name}: model_conf.att_unit {attended} is not encoder_conf.output_size {encoder.size}."
            )
        return cls(encoder, marks)
