"""emotion2vec: the emotion in speech, or its embeddings alone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from overtone.models.checkpoints import Checkpoint
from overtone.models.classifier import UNUSED_PREFIX, english_part
from overtone.models.emotion2vec.config import Architecture, scope_prefixes
from overtone.models.family import ModelFamily, Role

if TYPE_CHECKING:
    from overtone.models.graph import Graph
    from overtone.models.task import Task


class _Emotion2vec(ModelFamily):
    networks = ("Emotion2vec",)
    role: Role = "emotion"
    graphs_version = 1
    """Since 1 feed-forward parts are `widen_inner`."""
    exports_onnx = True

    def build(self, checkpoint: Checkpoint, *, strict: bool = True) -> dict[str, Graph]:
        from overtone.models.emotion2vec.graphs import build

        return build(checkpoint, strict=strict)

    def task(self, checkpoint: Checkpoint) -> Task:
        from overtone.models.emotion2vec.task import EmotionTask

        return EmotionTask(checkpoint)

    def check(self, checkpoint: Checkpoint) -> None:
        self.labels(checkpoint)
        scope_prefixes(checkpoint.config, checkpoint.name)
        Architecture.from_config(checkpoint.config, checkpoint.name)

    def labels(self, checkpoint: Checkpoint) -> tuple[str, ...] | None:
        return checkpoint.labels()

    def describe(self, checkpoint: Checkpoint) -> dict[str, str]:
        shape = Architecture.from_config(checkpoint.config, checkpoint.name)
        labels = [english_part(label) for label in self.labels(checkpoint) or () if not label.startswith(UNUSED_PREFIX)]
        return {
            "network": f"{shape.prenet_depth + shape.depth} blocks of {shape.embed_dim}, {shape.num_heads} heads",
            "frames": f"every {shape.hop_samples / 16:g} ms, each seeing {shape.receptive_samples / 16:g} ms",
            "classes": ", ".join(labels) or "none: embeddings only",
        }

    def write_converted(self, checkpoint: Checkpoint, folder: Path) -> None:
        from overtone.models.classifier import write_classifier
        from overtone.models.emotion2vec.loading import read_published_classifier

        if (head := read_published_classifier(checkpoint)) is not None:
            write_classifier(folder, head)
            # As they are read: `configuration.json`, which may give their file another name, stays behind.
            (folder / "tokens.txt").write_text("\n".join(head.published) + "\n", encoding="utf-8")


FAMILIES = (_Emotion2vec(),)
