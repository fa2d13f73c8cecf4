"""CAM++: one embedding of a whole input's voice."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from overtone.audio import Decoder, DecoderPool, Readable, name_of
from overtone.compat.arguments import Arguments
from overtone.compat.inputs import named, tensor
from overtone.compat.standalone import StandaloneModel, answers
from overtone.errors import Code, InputError
from overtone.models.checkpoints import Checkpoint
from overtone.models.features.fbank import fbank, frames_of
from overtone.types import SAMPLE_RATE, Samples

_KNOWN = ("cache", "fs", "key")

_MAX_S = 600
"""Longer inputs are refused: the network hears all of one at once, some 1 MiB for each second."""
_MIN_FRAMES = 3
"""Fewest frames that the network gives an answer for."""


class SpeakerAdapter(StandaloneModel):
    """FunASR's calls for a speaker model."""

    def __init__(
        self, checkpoint: Checkpoint, given: Mapping[str, Any], options: Mapping[str, Any], arguments: Arguments
    ) -> None:
        arguments.heeded(given, "AutoModel", checkpoint=checkpoint)
        self._arguments = arguments
        super().__init__(checkpoint, options)

    def generate(
        self, input: Any, progress: Callable[[int, int], None] | None, arguments: Mapping[str, Any]
    ) -> list[dict[str, Any]]:
        """`spk_embedding`, float32 (1, dim), of each input: a tensor where PyTorch is installed.

        There is no key, as in FunASR. Raises InputError for an input that lasts more than ten minutes.
        """
        wanted = self._arguments.heeded(arguments, "generate", _KNOWN)
        inputs = named(input, wanted.get("key"), wanted.get("fs", SAMPLE_RATE))
        return answers(inputs, self._answer, progress)

    def _answer(self, _: str, source: Readable) -> dict[str, Any]:
        features = fbank(_samples(source, self._pool), window="povey", scale=1.0)
        features = features - features.mean(axis=0)
        found = self._run("speaker", {"features": np.ascontiguousarray(features[None])})
        return {"spk_embedding": tensor(np.array(found["embeddings"], np.float32))}


def _samples(source: Readable, pool: DecoderPool | None) -> Samples:
    blocks: list[Samples] = []
    with Decoder(source, pool=pool) as decoder:
        for block in decoder.blocks():
            blocks.append(block)
            if decoder.decoded_s > _MAX_S:
                raise InputError(
                    f"{name_of(source)}: lasts more than {_MAX_S} s, and a speaker model hears all of it at once; "
                    "cut it first.",
                    code=Code.TOO_LONG,
                )
        samples = np.concatenate(blocks) if blocks else np.zeros(0, np.float32)
        if frames_of(len(samples)) < _MIN_FRAMES:
            raise InputError(f"{decoder.name}: it is too short to hear a voice in.", code=Code.TOO_SHORT)
    return samples
