"""Toy: embeddings of speech, 20 ms after 20 ms."""

from __future__ import annotations

from typing import TYPE_CHECKING

from overtone.models.checkpoints import Checkpoint
from overtone.models.family import ModelFamily, Role

if TYPE_CHECKING:
    from overtone.models.graph import Graph
    from overtone.models.task import Task


class _Toy(ModelFamily):
    networks = ("ToyEmbeddings",)
    role: Role = "emotion"

    def build(self, checkpoint: Checkpoint, *, strict: bool = True) -> dict[str, Graph]:
        from overtone.models.toy.network import build

        return build(checkpoint, strict=strict)

    def task(self, checkpoint: Checkpoint) -> Task:
        from overtone.models.toy.task import ToyTask

        return ToyTask()


FAMILIES = (_Toy(),)
