"""Paraformer: words and their times; with SeACo also hot words."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING

from overtone.errors import UsageError
from overtone.models.checkpoints import Checkpoint
from overtone.models.family import ModelFamily, Role
from overtone.options.transcription import TranscribeOptions

if TYPE_CHECKING:
    from overtone.models.graph import Graph
    from overtone.models.task import Task

_TAKES_HOTWORDS = "SeacoParaformer"


class _Paraformer(ModelFamily):
    networks = ("Paraformer", "BiCifParaformer", _TAKES_HOTWORDS)
    role: Role = "recognizer"

    def build(self, checkpoint: Checkpoint, *, strict: bool = True) -> dict[str, Graph]:
        from overtone.models.paraformer.network import build

        return build(checkpoint, strict=strict)

    def task(self, checkpoint: Checkpoint) -> Task:
        from overtone.models.paraformer.task import ParaformerTask

        return ParaformerTask(checkpoint)

    def decode_options(self, kind: str) -> frozenset[str]:
        return frozenset({"hotwords"}) if kind == _TAKES_HOTWORDS else frozenset()

    def check_decode_params(self, kind: str, options: TranscribeOptions) -> None:
        from overtone.models.paraformer.hotwords import check_hotwords

        if options.hotwords and "hotwords" not in self.decode_options(kind):
            raise UsageError("--hotwords takes a Paraformer with SeACo, such as paraformer-zh.")
        check_hotwords(tuple(options.hotwords.split()))
        if options.language != "auto":
            raise UsageError("--language is for SenseVoice; a Paraformer knows the language it was made for.")
        if not options.itn:
            raise UsageError("--no-itn is for SenseVoice; a Paraformer writes words as they are said.")

    def decode_params(self, kind: str, options: TranscribeOptions) -> Hashable:
        from overtone.models.paraformer.task import ParaformerParams

        return ParaformerParams(tuple(options.hotwords.split()))


class _StreamingParaformer(ModelFamily):
    networks = ("ParaformerStreaming",)
    role: Role = "live"
    precisions = ("fp32",)

    def build(self, checkpoint: Checkpoint, *, strict: bool = True) -> dict[str, Graph]:
        from overtone.models.paraformer.streaming_network import build

        return build(checkpoint, strict=strict)


FAMILIES = (_Paraformer(), _StreamingParaformer())
