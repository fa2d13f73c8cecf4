"""The linear classifier on top of the embeddings, and its labels.

The head is applied in NumPy, after pooling: sums of frames come back from a device, never logits, so that one
definition serves a frame, a segment, a file and a file of ten hours.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from overtone.errors import CheckpointError, ModelError
from overtone.models.checkpoints import Checkpoint

HEAD = "head.safetensors"
"""The classifier's weights in a converted model's folder."""

UNUSED_PREFIX = "unuse"
"""Labels that start so are rows of the head that were never trained; FunASR leaves them out, and so does this."""


def english_part(label: str) -> str:
    """The English part of a published label: `生气/angry` is `angry`, `<unk>` is `unknown`."""
    return "unknown" if label == "<unk>" else label.rsplit("/", 1)[-1]


@dataclass(frozen=True, slots=True, eq=False)
class Head:
    """`weight`: float32 (rows, dim); `bias`: float32 (rows,); `published`: a label for each row."""

    weight: npt.NDArray[np.float32]
    bias: npt.NDArray[np.float32]
    published: tuple[str, ...]

    @property
    def active_classes(self) -> tuple[int, ...]:
        """Rows that are classes."""
        return tuple(i for i, label in enumerate(self.published) if not label.startswith(UNUSED_PREFIX))

    def labels(self, *, as_published: bool = False) -> tuple[str, ...]:
        """Labels of the classes, in the order of `scores`."""
        return tuple(
            self.published[i] if as_published else english_part(self.published[i]) for i in self.active_classes
        )

    def scores(self, embeddings: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
        """Softmax over the classes. embeddings: (..., dim). Returns (..., classes), rows sum to 1.

        ModelError if the model gave something that is not a number.
        """
        return softmax(self.logits(embeddings))

    def logits(self, embeddings: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
        """Logits, of which `softmax` makes scores. Those of a mean are the mean of those of its parts. Errors as
        above."""
        rows = list(self.active_classes)
        logits = embeddings.astype(np.float64) @ self.weight[rows].T.astype(np.float64) + self.bias[rows]
        if not np.isfinite(logits).all():
            raise ModelError("the model gave values that are not numbers; the checkpoint or the precision is at fault")
        found: npt.NDArray[np.float64] = logits
        return found


def softmax(logits: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Scores (..., classes), rows sum to 1."""
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    scores: npt.NDArray[np.float64] = exponentials / exponentials.sum(axis=-1, keepdims=True)
    return scores


def write_classifier(folder: Path, head: Head) -> None:
    """Keep the classifier's weights; its labels are in `tokens.txt`."""
    from safetensors.numpy import save_file

    save_file({"weight": head.weight, "bias": head.bias}, folder / HEAD)


def read_classifier(folder: Path, checkpoint: Checkpoint, dim: int) -> Head | None:
    """The classifier, None for a model without classes. CheckpointError if it is missing, broken or of another
    shape."""
    if (labels := checkpoint.labels()) is None:
        return None
    from safetensors.numpy import load_file

    try:
        tensors = load_file(folder / HEAD)
        head = Head(tensors["weight"], tensors["bias"], labels)
    except Exception as error:  # safetensors raises its own kinds
        raise CheckpointError(f"{checkpoint.name}: {HEAD} is missing or broken ({error}); convert it again.") from error
    rows = len(labels)
    if head.weight.shape != (rows, dim) or head.bias.shape != (rows,):
        raise CheckpointError(
            f"{checkpoint.name}: {HEAD} has shape {list(head.weight.shape)}, but tokens.txt and config.yaml ask for "
            f"{[rows, dim]}."
        )
    return head
