"""An answer as bytes, and back: a line of JSON, then its arrays as NumPy writes them."""

from __future__ import annotations

import io
import json
from dataclasses import fields
from typing import Any

import numpy as np

from overtone.types import EmotionOutput, ModelOutput, SpeakerEmbeddings, TokenOutput

RECALLED = "parts were answered before"
"""The note of an answer that was recalled; what it cost then is not in this run's timings."""

_KINDS: dict[str, type[ModelOutput]] = {
    "Output": EmotionOutput,
    "Recognized": TokenOutput,
    "Voices": SpeakerEmbeddings,
}
"""Kinds of answers by their names in files; a file outlives the names of classes."""

_NAMES = {kind: name for name, kind in _KINDS.items()}

_OF_THE_RUN = frozenset(field.name for field in fields(ModelOutput)) - {"device"}


def encode(answer: ModelOutput) -> bytes:
    """The bytes of an answer, without what it says of its run."""
    values = {field.name: getattr(answer, field.name) for field in fields(answer) if field.name not in _OF_THE_RUN}
    arrays = {name: value for name, value in values.items() if isinstance(value, np.ndarray)}
    told = {name: value for name, value in values.items() if name not in arrays}
    packed = io.BytesIO()
    head = {"kind": _NAMES[type(answer)], "arrays": [*arrays], "told": told}
    packed.write(json.dumps(head, separators=(",", ":")).encode() + b"\n")
    for array in arrays.values():
        np.save(packed, array, allow_pickle=False)
    return packed.getvalue()


def decode(data: bytes) -> ModelOutput:
    """The answer that `encode` made these bytes of, noted as `RECALLED`; its arrays are the caller's own."""
    packed = io.BytesIO(data)
    head = json.loads(packed.readline())
    told: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in head["told"].items()}
    arrays = {name: np.load(packed, allow_pickle=False) for name in head["arrays"]}
    return _KINDS[head["kind"]](**told, **arrays, notes=(RECALLED,))
