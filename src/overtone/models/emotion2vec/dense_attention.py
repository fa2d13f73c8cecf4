"""The encoder with attention written out: one bias for all queries and keys of a layer, in memory that grows with the
square of the length.

For uses that `alibi_attention.attend` cannot serve. It looks at the data and writes in place, so it can neither be
exported as a graph nor give gradients; this can do both. So the network that is trained is the one that is exported.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

from overtone.models.emotion2vec.network import Emotion2vec
from overtone.models.layers.alibi_attention import Attend
from overtone.models.layers.attention_mask import HIDDEN


def encode_dense(network: Emotion2vec, features: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
    """Frame embeddings of `network.encode`, but for rounding; differentiable and traceable. On a CPU.

    Returns the shape of `features`; rows past an item's own frames are meaningless.

    - `features`: projected local features (batch, frames, dim).
    - `counts`: integer (batch,), true frames.
    """
    attention = DenseAttention(network, features.shape[1], counts)
    positioned = features + network.audio.relative_positional_encoder(features, attention.valid)
    return network.transform(positioned, attention)


class DenseAttention:
    """The attention of each layer of a network, for `Emotion2vec.transform`; equal to `attend` but for rounding.

    - `frames`: of the batch, padding included.
    - `counts`: integer (batch,), true frames.
    """

    def __init__(self, network: Emotion2vec, frames: int, counts: torch.Tensor) -> None:
        self.valid = torch.arange(frames)[None, :] < counts[:, None]
        extra = network.architecture.num_extra_tokens
        self._network = network
        self._hidden = torch.where(F.pad(self.valid, (extra, 0), value=True), 0.0, HIDDEN)[:, None, None, :]
        places = torch.arange(frames + extra) - extra
        timed = (places >= 0).float()
        self._distance = (places[:, None] - places[None, :]).abs() * timed[:, None] * timed[None, :]
        self._biases: dict[int, torch.Tensor] = {}

    def __call__(self, layer: int) -> Attend:
        """The attention of one layer."""
        # Most checkpoints share one scale among all layers, and then one bias.
        at = layer if self._network.scales_per_layer else 0
        if at not in self._biases:
            slopes, hidden, distance = self._network.slopes(at), self._hidden, self._distance
            self._biases[at] = hidden if slopes is None else hidden - slopes[:, None, None] * distance
        bias = self._biases[at]
        return lambda query, key, value: F.scaled_dot_product_attention(query, key, value, attn_mask=bias)
