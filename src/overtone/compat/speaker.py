"""CAM++: one embedding of a whole input's voice."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from overtone.audio import Decoder, Readable, name_of
from overtone.compat.arguments import validate_arguments
from overtone.compat.inputs import named, tensor
from overtone.compat.standalone import StandaloneModel
from overtone.errors import InputError
from overtone.models.checkpoints import Checkpoint
from overtone.models.features.fbank import fbank, frames_of
from overtone.types import SAMPLE_RATE, Samples

_KNOWN = ("cache", "fs", "key")

_LONGEST_S = 600
"""Longer inputs are refused: the network hears all of one at once, some 1 MiB for each second."""
_FEWEST_FRAMES = 3
"""The network has nothing to work on below."""


class SpeakerVoices(StandaloneModel):
    """A speaker model by itself."""

    def __init__(self, checkpoint: Checkpoint, arguments: Mapping[str, Any], options: Mapping[str, Any]) -> None:
        validate_arguments(arguments, "AutoModel")
        super().__init__(checkpoint, options)

    def generate(
        self, input: Any, progress: Callable[[int, int], None] | None, arguments: Mapping[str, Any]
    ) -> list[dict[str, Any]]:
        """`spk_embedding`, float32 (1, dim), for each input: a tensor where PyTorch is installed. There is no key, as
        in FunASR. InputError for what lasts more than ten minutes."""
        wanted = validate_arguments(arguments, "generate", _KNOWN)
        inputs = list(named(input, wanted.get("key"), wanted.get("fs", SAMPLE_RATE)))
        results = []
        for _, source in inputs:
            features = fbank(_samples(source), window="povey", scale=1.0)
            features = features - features.mean(axis=0)
            found = self._run("speaker", {"features": np.ascontiguousarray(features[None])})
            results.append({"spk_embedding": tensor(np.array(found["embeddings"], np.float32))})
            if progress is not None:
                progress(len(results), len(inputs))
        return results


def _samples(source: Readable) -> Samples:
    blocks: list[Samples] = []
    with Decoder(source) as decoder:
        for block in decoder.blocks():
            blocks.append(block)
            if decoder.decoded_s > _LONGEST_S:
                raise InputError(
                    f"{name_of(source)}: lasts more than {_LONGEST_S} s, and a speaker model hears all of it at once; "
                    "cut it first.",
                    code="too_long",
                )
        samples = np.concatenate(blocks) if blocks else np.zeros(0, np.float32)
        if frames_of(len(samples)) < _FEWEST_FRAMES:
            raise InputError(f"{decoder.name}: it is too short to hear a voice in.", code="too_short")
    return samples
