"""SenseVoice: an encoder whose every frame names a token or a blank, for several languages at once.

Three graphs, so that the table of all tokens' scores, 100 kB for each 60 ms with the published vocabulary, exists for a
few frames at a time only, and leaves the device never:

    features ─encoder→ hidden ─head→ best token of each frame, its probability, log-sum of all scores
                       hidden ─scores→ scores of some tokens
"""

from __future__ import annotations

import torch
from torch import nn

from overtone.errors import CheckpointError
from overtone.models import weights
from overtone.models.checkpoints import Checkpoint
from overtone.models.graph import Graph
from overtone.models.layers.best_token import best_token
from overtone.models.layers.sanm import SanmEncoder
from overtone.models.layers.sanm_config import SanmConfig
from overtone.models.sense_voice.config import EMBEDDINGS, encoder_config
from overtone.models.sense_voice.task import QUERIES


class _Ctc(nn.Module):
    def __init__(self, size: int, vocabulary: int) -> None:
        super().__init__()
        self.ctc_lo = nn.Linear(size, vocabulary)


class SenseVoice(nn.Module):
    """The parameters by their published names. `Encoder`, `Head` and `Scores` run parts of it."""

    def __init__(self, config: SanmConfig, vocabulary: int) -> None:
        super().__init__()
        # Not drawn at random: without memory PyTorch would load its compiler for that, which takes seconds.
        self.embed = nn.Embedding(EMBEDDINGS, config.input_size, _weight=torch.empty(EMBEDDINGS, config.input_size))
        self.encoder = SanmEncoder(config)
        self.ctc = _Ctc(config.size, vocabulary)


class Encoder(Graph):
    """Features, after the embeddings of the query, to hidden vectors."""

    outputs = ("hidden",)

    def __init__(self, network: SenseVoice) -> None:
        super().__init__()
        self.embed, self.encoder = network.embed, network.encoder
        self.inputs = {"features": (-1, -1, self.embed.embedding_dim), "counts": (-1,), "queries": (-1, QUERIES)}

    def forward(self, features: torch.Tensor, counts: torch.Tensor, queries: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """features: float32 (B, T, dim). counts: int64 (B,), true frames of each, 0 or more. queries: int64 (B, 4),
        rows of the table of embeddings. Returns `hidden`, float32 (B, 4 + T, size)."""
        return (self.encoder(torch.cat([self.embed(queries), features], dim=1), counts + QUERIES),)

    def example(self) -> tuple[torch.Tensor, ...]:
        """Two rows of 9 and 5 frames."""
        queries = torch.tensor([[0, 1, 2, 14], [3, 1, 2, 15]])
        return torch.zeros(2, 9, self.embed.embedding_dim), torch.tensor([9, 5]), queries


class Head(Graph):
    """The best token of each frame."""

    outputs = ("best", "probability", "total")

    def __init__(self, network: SenseVoice) -> None:
        super().__init__()
        self.linear = network.ctc.ctc_lo
        self.inputs = {"hidden": (-1, self.linear.in_features)}

    def forward(self, hidden: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """hidden: float32 (N, size). Returns `best` int64 (N,), its `probability` float32 (N,), and `total` float32
        (N,): a token's log-probability is its score less that."""
        return best_token(self.linear(hidden))

    def example(self) -> tuple[torch.Tensor, ...]:
        """Three frames."""
        return (torch.zeros(3, self.linear.in_features),)


class Scores(Graph):
    """Scores of some tokens, where more than the best is asked of a frame."""

    outputs = ("scores",)

    def __init__(self, network: SenseVoice) -> None:
        super().__init__()
        self.linear = network.ctc.ctc_lo
        self.inputs = {"hidden": (-1, self.linear.in_features), "tokens": (-1,)}

    def forward(self, hidden: torch.Tensor, tokens: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """hidden: float32 (N, size). tokens: int64 (L,). Returns `scores`, float32 (N, L)."""
        return (hidden @ self.linear.weight[tokens].T + self.linear.bias[tokens],)

    def example(self) -> tuple[torch.Tensor, ...]:
        """Three frames and two tokens."""
        return torch.zeros(3, self.linear.in_features), torch.tensor([0, 1])


def build(checkpoint: Checkpoint, *, strict: bool = True) -> dict[str, Graph]:
    """The graphs `encoder`, `head` and `scores` of a checkpoint, on the CPU. Raises CheckpointError."""
    config = encoder_config(checkpoint.config, checkpoint.name)
    tensors = weights.read_tensors(checkpoint)
    table = tensors.get("ctc.ctc_lo.bias")
    if table is None or len(table.shape) != 1:
        raise CheckpointError(
            f"{checkpoint.name}: {checkpoint.weights.name} has no tensor ctc.ctc_lo.bias of one number for each token."
        )
    with torch.device("meta"):
        network = SenseVoice(config, table.shape[0])
    weights.load_tensors_into(network, tensors, checkpoint, strict=strict)
    return {"encoder": Encoder(network), "head": Head(network), "scores": Scores(network)}
