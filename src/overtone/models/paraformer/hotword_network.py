"""Hot words: what SeACo-Paraformer adds to a Paraformer, as graphs (Shi et al., 2023, arXiv:2308.03266).

The words somebody expects are vectors that tokens look at. A second decoder says of each token which one it is, if it
belongs to any of those words, or that it belongs to none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from overtone.models.graph import Graph
from overtone.models.layers.sanm import padding_mask, valid_frames
from overtone.models.paraformer.config import SCORING_LAYERS
from overtone.models.paraformer.decoder import best

if TYPE_CHECKING:
    from overtone.models.paraformer.network import Paraformer


class HotwordsGraph(Graph):
    """Hot words, as ids of their tokens, to a vector of each."""

    outputs = ("vectors",)

    def __init__(self, network: Paraformer) -> None:
        super().__init__()
        self.network = network
        self.inputs = {"words": (-1, -1), "lengths": (-1,)}

    def forward(self, words: torch.Tensor, lengths: torch.Tensor) -> tuple[torch.Tensor]:
        """words: int64 (K, L). lengths: int64 (K,), real tokens, at least one. Returns float32 (K, H)."""
        network = self.network
        heard, _ = network.bias_encoder(network.decoder.embed[0](words))
        # It goes one way, so what is past a word's end does not reach its last token.
        last = (lengths - 1)[:, None, None].expand(-1, 1, heard.shape[2])
        return (torch.gather(heard, 1, last)[:, 0],)

    def example(self) -> tuple[torch.Tensor, ...]:
        """See Graph."""
        return torch.zeros(3, 4, dtype=torch.int64), torch.tensor([4, 2, 1])


class ScoresGraph(Graph):
    """Attention of the tokens of each row to each hot word."""

    outputs = ("scores",)

    def __init__(self, network: Paraformer) -> None:
        super().__init__()
        self.network = network
        dim = network.config.dim
        self.inputs = {"states": (-1, -1, dim), "tokens": (-1,), "vectors": (-1, -1, dim), "words": (-1,)}

    def forward(
        self, states: torch.Tensor, tokens: torch.Tensor, vectors: torch.Tensor, words: torch.Tensor
    ) -> tuple[torch.Tensor]:
        """states: float32 (B, N, H), as the decoder gave them. tokens: int64 (B,), real ones. vectors: float32
        (B, K, H). words: int64 (B,), real hot words. Returns float32 (B, K)."""
        real = valid_frames(tokens, states.shape[1])
        hidden = padding_mask(valid_frames(words, vectors.shape[1]))
        looks = self.network.seaco_decoder.attention_weights(states, real, vectors, hidden, SCORING_LAYERS - 1)
        return ((looks.sum(dim=1) * real[:, :, None]).sum(dim=1),)

    def example(self) -> tuple[torch.Tensor, ...]:
        """See Graph."""
        dim = self.network.config.dim
        return torch.zeros(2, 5, dim), torch.tensor([5, 3]), torch.zeros(2, 3, dim), torch.tensor([3, 2])


class SeacoGraph(Graph):
    """Each token as the decoder of hot words has it."""

    outputs = ("best", "probability")

    def __init__(self, network: Paraformer) -> None:
        super().__init__()
        self.network = network
        dim = network.config.dim
        self.inputs = {
            "embeddings": (-1, -1, dim),
            "states": (-1, -1, dim),
            "tokens": (-1,),
            "vectors": (-1, -1, dim),
            "words": (-1,),
        }

    def forward(
        self,
        embeddings: torch.Tensor,
        states: torch.Tensor,
        tokens: torch.Tensor,
        vectors: torch.Tensor,
        words: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """embeddings, states: float32 (B, N, H), what went into the decoder and what it knew. The rest as for scores.

        Returns int64 (B, N), with the id that says "no hot word" where none is heard, and float32 (B, N).
        """
        network = self.network
        real = valid_frames(tokens, states.shape[1])
        hidden = padding_mask(valid_frames(words, vectors.shape[1]))
        heard, said = (network.seaco_decoder(x, real, vectors, hidden) for x in (embeddings, states))
        return best(network.hotword_output_layer(heard + said))

    def example(self) -> tuple[torch.Tensor, ...]:
        """See Graph."""
        dim = self.network.config.dim
        two = torch.zeros(2, 5, dim)
        return two, two.clone(), torch.tensor([5, 3]), torch.zeros(2, 3, dim), torch.tensor([3, 2])
