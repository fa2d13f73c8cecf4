"""SenseVoice: words, language, mood and events."""

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


class _SenseVoice(ModelFamily):
    networks = ("SenseVoiceSmall",)
    role: Role = "recognizer"
    writes_punctuation = True
    graphs_version = 1
    """Since 1 feed-forward parts are `widen_inner`, and a memory is one convolution."""

    def build(self, checkpoint: Checkpoint, *, strict: bool = True) -> dict[str, Graph]:
        from overtone.models.sense_voice.network import build

        return build(checkpoint, strict=strict)

    def task(self, checkpoint: Checkpoint) -> Task:
        from overtone.models.sense_voice.task import SenseVoiceTask

        return SenseVoiceTask(checkpoint)

    def decode_options(self, kind: str) -> frozenset[str]:
        return frozenset({"language", "itn"})

    def check_decode_params(self, kind: str, options: TranscribeOptions) -> None:
        if options.hotwords:
            raise UsageError(
                f"{param('hotwords')} takes a Paraformer with SeACo, such as paraformer-zh; SenseVoice has none."
            )

    def decode_params(self, kind: str, options: TranscribeOptions) -> Hashable:
        from overtone.models.sense_voice.task import SenseVoiceParams

        return SenseVoiceParams(language=options.language, itn=options.itn)


FAMILIES = (_SenseVoice(),)
