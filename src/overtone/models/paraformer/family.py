"""Paraformer: words and their times; with SeACo also hot words."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING

from overtone.errors import UsageError
from overtone.models.checkpoints import Checkpoint
from overtone.models.family import ModelFamily, Role
from overtone.options.transcription import TranscribeOptions
from overtone.wording import param

if TYPE_CHECKING:
    from overtone.models.graph import Graph
    from overtone.models.task import Task

_TAKES_HOTWORDS = "SeacoParaformer"


class _Paraformer(ModelFamily):
    networks = ("Paraformer", "BiCifParaformer", _TAKES_HOTWORDS)
    role: Role = "recognizer"
    graphs_version = 1
    """Since 1 feed-forward parts are `widen_inner`, and a memory is one convolution."""

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
            raise UsageError(f"{param('hotwords')} takes a Paraformer with SeACo, such as paraformer-zh.")
        check_hotwords(tuple(options.hotwords.split()))
        if options.language != "auto":
            raise UsageError(f"{param('language')} is for SenseVoice; a Paraformer knows the language it was made for.")
        if not options.itn:
            raise UsageError(f"{param('itn', False)} is for SenseVoice; a Paraformer writes words as they are said.")

    def decode_params(self, kind: str, options: TranscribeOptions) -> Hashable:
        from overtone.models.paraformer.task import ParaformerParams

        return ParaformerParams(tuple(options.hotwords.split()))


class _StreamingParaformer(ModelFamily):
    networks = ("ParaformerStreaming",)
    role: Role = "live"
    precisions = ("fp32",)
    graphs_version = 2
    """Since 1 they know nothing of how a stream is cut; since 2 feed-forward parts are `widen_inner`, and a memory is
    one convolution."""

    def build(self, checkpoint: Checkpoint, *, strict: bool = True) -> dict[str, Graph]:
        from overtone.models.paraformer.streaming_network import build

        return build(checkpoint, strict=strict)


FAMILIES = (_Paraformer(), _StreamingParaformer())
