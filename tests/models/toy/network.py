"""The network: one linear layer."""

from __future__ import annotations

import torch
from torch import nn

from overtone.models.checkpoints import Checkpoint
from overtone.models.graph import Graph
from overtone.models.toy.task import DIM, HOP
from overtone.models.weights import load_tensors_into, read_tensors


class ToyNetwork(Graph):
    """Frames of samples, float32 (frames, HOP), to embeddings, (frames, DIM)."""

    inputs = {"frames": (-1, HOP)}  # noqa: RUF012 - it is not changed
    outputs = ("embeddings",)

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(HOP, DIM)

    def forward(self, frames: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Embeddings of frames, each by itself."""
        return (torch.tanh(self.linear(frames)),)

    def example(self) -> tuple[torch.Tensor, ...]:
        return (torch.zeros(3, HOP),)


def build(checkpoint: Checkpoint, *, strict: bool = True) -> dict[str, Graph]:
    """The graph `encoder` of a published checkpoint."""
    with torch.device("meta"):
        network = ToyNetwork()
    load_tensors_into(network, read_tensors(checkpoint), checkpoint, strict=strict)
    return {"encoder": network}
