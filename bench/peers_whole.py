"""emotion2vec from samples to scores as one PyTorch module, with nothing but what one whole clip needs."""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F
from torch import nn

from overtone.models import checkpoints
from overtone.models.classifier import Head
from overtone.models.emotion2vec.loading import load
from overtone.models.emotion2vec.network import Emotion2vec

_EPSILON = 1e-5
"""Of the norm over a waveform, as published."""


class Whole(nn.Module):
    """Waveforms to scores, in one graph that may be exported: no padding, no blocks, attention in one operation."""

    def __init__(self, network: Emotion2vec, head: Head) -> None:
        super().__init__()
        self.network = network
        self.head = nn.Linear(head.weight.shape[1], len(head.active_classes))
        rows = list(head.active_classes)
        self.head.weight = nn.Parameter(torch.from_numpy(head.weight[rows]), requires_grad=False)
        self.head.bias = nn.Parameter(torch.from_numpy(head.bias[rows]), requires_grad=False)

    def forward(self, waveforms: torch.Tensor) -> torch.Tensor:
        """float32 (1, samples), ±1, to float32 (1, classes), which sum to 1."""
        network = self.network
        if network.architecture.normalize:
            centred = waveforms - waveforms.mean(-1, keepdim=True)
            waveforms = centred * torch.rsqrt(centred.square().mean(-1, keepdim=True) + _EPSILON)
        x = network.project(network.audio.local_encoder(waveforms.to(self.head.weight.dtype)))
        bias = self._bias(x)

        def attention(layer: int) -> partial[torch.Tensor]:
            return partial(F.scaled_dot_product_attention, attn_mask=bias[layer if len(bias) > 1 else 0])

        x = network.transform(x + network.audio.relative_positional_encoder(x, None), attention)
        scores: torch.Tensor = self.head(x.mean(1)).float().softmax(-1)
        return scores

    def _bias(self, x: torch.Tensor) -> list[torch.Tensor | None]:
        """ALiBi's of each layer, or of all where they share it; the extra tokens have no place in time."""
        network = self.network
        extra = network.architecture.num_extra_tokens
        places = torch.arange(x.shape[1] + extra) - extra
        timed = (places >= 0).float()
        distance = (places[:, None] - places[None, :]).abs() * timed[:, None] * timed[None, :]
        layers = range(len(list(network.named_blocks())) if network.scales_per_layer else 1)
        slopes = [network.slopes(layer) for layer in layers]
        return [None if each is None else (-each[:, None, None] * distance)[None].to(x.dtype) for each in slopes]


def whole(model: str, dtype: torch.dtype) -> Whole:
    """The module of a published checkpoint with classes, ready to run."""
    network, head = load(checkpoints.find(model))
    if head is None:
        raise ValueError(f"{model}: a checkpoint with classes is needed")
    network.set_alibi_slopes()
    return Whole(network, head).to(dtype).eval()
