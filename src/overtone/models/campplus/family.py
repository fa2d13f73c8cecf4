"""CAM++: embeddings of voices."""

from __future__ import annotations

from typing import TYPE_CHECKING

from overtone.models.checkpoints import Checkpoint
from overtone.models.family import ModelFamily, Role

if TYPE_CHECKING:
    from overtone.models.graph import Graph
    from overtone.models.task import Task


class _CamPlus(ModelFamily):
    networks = ("CAMPPlus",)
    role: Role = "speakers"

    def build(self, checkpoint: Checkpoint, *, strict: bool = True) -> dict[str, Graph]:
        from overtone.models.campplus.network import build

        return build(checkpoint, strict=strict)

    def task(self, checkpoint: Checkpoint) -> Task:
        from overtone.models.campplus.task import SpeakerTask

        return SpeakerTask(checkpoint)


FAMILIES = (_CamPlus(),)
