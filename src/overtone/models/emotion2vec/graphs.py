"""emotion2vec as two graphs: the feature extractor, and the encoder of frames."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from overtone.models.checkpoints import Checkpoint
from overtone.models.emotion2vec.dense_attention import encode_dense
from overtone.models.emotion2vec.loading import load
from overtone.models.emotion2vec.network import Emotion2vec
from overtone.models.graph import Graph
from overtone.models.layers.attention_kernel import AttentionKernel

FEATURE_FRAMES = 20
"""Frames (0.4 s) the exported feature extractor makes at a time: one shape, for which its convolutions are compiled
best, whatever the lengths of the audio. Stretches of 0.4 to 4 s ran equally fast (base shape, two cores), and the
shorter they are, the less of the last one is waste."""


class FeaturesGraph(Graph):
    """Waveforms to projected local features, (batch, frames, dim)."""

    outputs = ("features",)
    resident = frozenset(outputs)

    def __init__(self, network: Emotion2vec) -> None:
        super().__init__()
        self.network = network
        self.inputs = {"waveforms": (1, network.architecture.samples_for(FEATURE_FRAMES))}

    def forward(self, waveforms: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """waveforms: float32 (1, samples), normalized, one stretch of `FEATURE_FRAMES` frames."""
        return (self.network.project(self.network.audio.local_encoder(waveforms)),)

    def example(self) -> tuple[torch.Tensor, ...]:
        """One stretch of silence."""
        return (torch.zeros(self.inputs["waveforms"]),)

    def call(self, inputs: Mapping[str, Any], upload: Callable[..., torch.Tensor]) -> Mapping[str, torch.Tensor]:
        """Features of whole batches. waveforms: a `Ragged`, each of which is normalized over its own length."""
        return {"features": self.network.features(upload(inputs["waveforms"], self._normalized))}

    def _normalized(self, samples: torch.Tensor) -> torch.Tensor:
        return F.layer_norm(samples, samples.shape) if self.network.architecture.normalize else samples


class EncoderGraph(Graph):
    """Features (batch, frames, dim) and true frame counts (batch,) to embeddings (batch, frames, dim)."""

    outputs = ("embeddings",)
    resident = frozenset(outputs)

    def __init__(self, network: Emotion2vec) -> None:
        super().__init__()
        self.network = network
        self.inputs = {"features": (-1, -1, network.architecture.embed_dim), "counts": (-1,)}

    def forward(self, features: torch.Tensor, counts: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """features: float32. counts: int64. Rows past an item's own frames are meaningless."""
        return (encode_dense(self.network, features, counts),)

    def example(self) -> tuple[torch.Tensor, ...]:
        """Two rows of 30 and 20 frames."""
        return torch.zeros(2, 30, self.network.architecture.embed_dim), torch.tensor([30, 20])

    def prepare(self, device: str, dtype: torch.dtype) -> None:
        """Work out ALiBi's slopes, and choose how attention is computed."""
        architecture = self.network.architecture
        self.network.set_alibi_slopes()
        self.kernel = AttentionKernel(device, dtype, architecture.embed_dim // architecture.num_heads)
        self.network.set_attention(self.kernel.attend)

    @property
    def blocks(self) -> Mapping[str, nn.Module]:
        """The transformer blocks."""
        return dict(self.network.named_blocks())

    def call(self, inputs: Mapping[str, Any], upload: Callable[..., torch.Tensor]) -> Mapping[str, torch.Tensor]:
        """`embeddings`, and `totals`, float64 (batch, dim): sums over each row's own frames."""
        features, counts = upload(inputs["features"]), inputs["counts"]
        ragged = bool((counts != features.shape[1]).any())
        embeddings = self.network.encode(features, upload(counts) if ragged else None)
        own = (row[:count] for row, count in zip(embeddings, counts.tolist(), strict=True))
        return {"embeddings": embeddings, "totals": torch.stack([rows.double().sum(dim=0) for rows in own])}


def build(checkpoint: Checkpoint, *, strict: bool = True) -> dict[str, Graph]:
    """The graphs `features` and `encoder` of a published checkpoint, float32. Raises CheckpointError.

    strict: refuse tensors that neither inference nor pre-training knows.
    """
    network = load(checkpoint, strict=strict)[0]
    return {"features": FeaturesGraph(network), "encoder": EncoderGraph(network)}
