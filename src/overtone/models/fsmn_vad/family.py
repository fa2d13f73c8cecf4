"""FSMN-VAD: the probability of silence, frame by frame."""

from __future__ import annotations

from typing import TYPE_CHECKING

from overtone.models.checkpoints import Checkpoint
from overtone.models.family import ModelFamily, Role

if TYPE_CHECKING:
    from overtone.models.graph import Graph


class _FsmnVad(ModelFamily):
    networks = ("FsmnVADStreaming",)
    role: Role = "vad"
    precisions = ("fp32",)

    def build(self, checkpoint: Checkpoint, *, strict: bool = True) -> dict[str, Graph]:
        from overtone.models.fsmn_vad.network import build

        return build(checkpoint, strict=strict)


FAMILIES = (_FsmnVad(),)
