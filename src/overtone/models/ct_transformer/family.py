"""CT-Transformer: punctuation of a text."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from overtone.models.checkpoints import Checkpoint
from overtone.models.family import ModelFamily, Role

if TYPE_CHECKING:
    from overtone.models.graph import Graph


class _CtTransformer(ModelFamily):
    networks = ("CTTransformer",)
    role: Role = "punctuation"
    precisions = ("fp32",)
    graphs_version = 1
    """Since 1 feed-forward parts are `widen_inner`, and a memory is one convolution."""

    def build(self, checkpoint: Checkpoint, *, strict: bool = True) -> dict[str, Graph]:
        from overtone.models.ct_transformer.network import build

        return build(checkpoint, strict=strict)

    def copy_converted(self, checkpoint: Checkpoint, folder: Path) -> None:
        from overtone.models.ct_transformer.embedding_table import EmbeddingTable

        EmbeddingTable(checkpoint).save(folder)  # which is read from the published weights, where these are


FAMILIES = (_CtTransformer(),)
