"""Paraformer, with the times of BiCif and the hot words of SeACo where a checkpoint has them, as graphs.

`encoder` hears, `cif.py` makes tokens' embeddings of that, `decoder` says which tokens they are, and
`times` when each of them begins. With hot words: `hotwords` makes a vector of each, `hotword_scores` says which of many
matter, and `seaco` what the tokens are if they are any of these.
"""

from __future__ import annotations

import torch
from torch import nn

from overtone.models.checkpoints import Checkpoint
from overtone.models.features.fbank import FrontendConfig
from overtone.models.graph import Graph
from overtone.models.layers.sanm import SanmEncoder, padding_mask, valid_frames
from overtone.models.layers.sanm_config import SanmConfig
from overtone.models.paraformer.config import ParaformerConfig
from overtone.models.paraformer.decoder import ParaformerDecoder, best
from overtone.models.paraformer.predictor import CifPredictor
from overtone.models.tokenizers.characters import CharTokenizer
from overtone.models.weights import load_tensors_into, read_tensors

TRAINING = r"(ctc|criterion_\w+)\.|(seaco_)?decoder\.(embed|output_layer)\.|lstm_proj\.|bias_embed\."
"""Tensors that are there for training alone. The embeddings of tokens are used for hot words only."""


class Paraformer(nn.Module):
    """All of the network, under the names of its parameters in published checkpoints."""

    def __init__(self, config: ParaformerConfig, encoder: SanmConfig) -> None:
        super().__init__()
        self.config = config
        words = config.hotwords
        self.encoder = SanmEncoder(encoder)
        self.predictor = CifPredictor(config.dim, config.predictor)
        self.decoder = ParaformerDecoder(
            config.dim, config.decoder, vocabulary=config.vocabulary, embed=config.vocabulary if words else None
        )
        if words:
            self.bias_encoder = nn.LSTM(config.dim, config.dim, 2, batch_first=True)
            self.seaco_decoder = ParaformerDecoder(config.dim, words)
            self.hotword_output_layer = nn.Linear(config.dim, config.vocabulary)


class EncoderGraph(Graph):
    """Features to frames, and the share of a token in each of them."""

    outputs = ("hidden", "alphas")

    def __init__(self, network: Paraformer) -> None:
        super().__init__()
        self.network = network
        self.inputs = {"features": (-1, -1, network.encoder.config.input_size), "counts": (-1,)}

    def forward(self, features: torch.Tensor, counts: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """features: float32 (B, T, D). counts: int64 (B,), real frames. Returns (B, T, H), 0 in padding; (B, T + 1)."""
        frames = self.network.encoder(features, counts)
        frames = torch.where(valid_frames(counts, features.shape[1])[:, :, None], frames, 0.0)
        return frames, self.network.predictor.alphas(frames, counts)

    def example(self) -> tuple[torch.Tensor, ...]:
        """See Graph."""
        return torch.zeros(2, 12, self.inputs["features"][2]), torch.tensor([12, 7])


class DecoderGraph(Graph):
    """Acoustic embeddings of tokens to tokens; and for hot words, a vector of each of them (`states`)."""

    def __init__(self, network: Paraformer) -> None:
        super().__init__()
        self.network = network
        dim = network.config.dim
        self.inputs = {"embeddings": (-1, -1, dim), "tokens": (-1,), "hidden": (-1, -1, dim), "counts": (-1,)}
        self.outputs = ("best", "probability", *(("states",) if network.config.hotwords else ()))

    def forward(
        self, embeddings: torch.Tensor, tokens: torch.Tensor, hidden: torch.Tensor, counts: torch.Tensor
    ) -> tuple[torch.Tensor, ...]:
        """embeddings: float32 (B, N, H). tokens: int64 (B,), real ones. hidden, counts: as from the encoder.

        Returns int64 (B, N), float32 (B, N), and where there are hot words float32 (B, N, H).
        """
        decoder = self.network.decoder
        real = valid_frames(tokens, embeddings.shape[1])
        states = decoder(embeddings, real, hidden, padding_mask(valid_frames(counts, hidden.shape[1])))
        said = best(decoder.output_layer(states))
        return (*said, states) if self.network.config.hotwords else said

    def example(self) -> tuple[torch.Tensor, ...]:
        """See Graph."""
        dim = self.network.config.dim
        return torch.zeros(2, 5, dim), torch.tensor([5, 3]), torch.zeros(2, 12, dim), torch.tensor([12, 7])


class TimesGraph(Graph):
    """Frames to weights that fire where tokens begin."""

    outputs = ("weights",)

    def __init__(self, network: Paraformer) -> None:
        super().__init__()
        self.network = network
        self.inputs = {"hidden": (-1, -1, network.config.dim), "counts": (-1,)}

    def forward(self, hidden: torch.Tensor, counts: torch.Tensor) -> tuple[torch.Tensor]:
        """hidden: float32 (B, T, H), zero in padding. counts: int64 (B,). Returns float32 (B, T * upsample)."""
        return (self.network.predictor.upsampled_alphas(hidden, counts),)

    def example(self) -> tuple[torch.Tensor, ...]:
        """See Graph."""
        return torch.zeros(2, 12, self.network.config.dim), torch.tensor([12, 7])


def build(checkpoint: Checkpoint, *, strict: bool = True) -> dict[str, Graph]:
    """The graphs of a published checkpoint, with its weights, in float32. Raises CheckpointError.

    strict: refuse tensors that the network does not know.
    """
    from overtone.models.paraformer.hotword_network import HotwordsGraph, ScoresGraph, SeacoGraph

    name, settings = checkpoint.name, checkpoint.config
    config = ParaformerConfig.from_config(settings, len(CharTokenizer(checkpoint)), name)
    frontend = FrontendConfig.from_config(settings.get("frontend_conf"), name)
    encoder = SanmConfig.from_config(settings["encoder_conf"], frontend.dim, name)
    with torch.device("meta"):
        network = Paraformer(config, encoder)
    load_tensors_into(network, read_tensors(checkpoint), checkpoint, unused=TRAINING, strict=strict)
    graphs: dict[str, Graph] = {"encoder": EncoderGraph(network), "decoder": DecoderGraph(network)}
    if config.predictor.times:
        graphs["times"] = TimesGraph(network)
    if config.hotwords:
        graphs |= {"hotwords": HotwordsGraph(network), "seaco": SeacoGraph(network)}
        if config.scores_hotwords:
            graphs["hotword_scores"] = ScoresGraph(network)
    return graphs
