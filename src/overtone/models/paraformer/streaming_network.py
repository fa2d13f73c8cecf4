"""Paraformer on speech that is still going on, chunk by chunk, as graphs: what they remember goes in and comes out.

Each chunk is encoded with some frames after it that are not its own yet, and with the keys and values of chunks before
it. Memories have a fixed size, of which `kept` says how much is filled, so every chunk has the same shapes.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F

from overtone.models.checkpoints import Checkpoint
from overtone.models.features.fbank import FrontendConfig
from overtone.models.graph import Graph
from overtone.models.layers.sanm import padding_mask, split_heads
from overtone.models.layers.sanm_config import SanmConfig
from overtone.models.paraformer.chunking import Chunks, memory_shapes
from overtone.models.paraformer.config import STREAMING, ParaformerConfig
from overtone.models.paraformer.decoder import best
from overtone.models.paraformer.network import TRAINING, Paraformer
from overtone.models.tokenizers.characters import CharTokenizer
from overtone.models.weights import load_tensors_into, read_tensors


def _attended(
    query: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, kept: torch.Tensor, fresh: int
) -> torch.Tensor:
    """Attention to a memory of which the last `kept` (B,) places are filled, and the `fresh` ones after it.

    query: (B, N, size). keys, values: (B, heads, memory + fresh, size / heads). Returns (B, N, size).
    """
    places = keys.shape[2]
    filled = torch.arange(places, device=kept.device)[None, :] >= places - fresh - kept[:, None]
    mixed = F.scaled_dot_product_attention(
        split_heads(query, keys.shape[1]), keys, values, attn_mask=padding_mask(filled)
    )
    return mixed.transpose(1, 2).reshape(query.shape)


class EncoderChunkGraph(Graph):
    """One chunk's features, with those after it, to frames and their shares of tokens."""

    outputs = ("hidden", "alphas", "next_keys", "next_values")

    def __init__(self, network: Paraformer, chunks: Chunks) -> None:
        super().__init__()
        self.network = network
        self.ahead = chunks.ahead
        memory = memory_shapes(network.config, chunks, network.encoder.config.blocks)["encoder"]
        self.inputs = {
            "features": (-1, -1, network.encoder.config.input_size),
            "keys": memory,
            "values": memory,
            "kept": (-1,),
        }

    def forward(
        self, features: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, kept: torch.Tensor
    ) -> tuple[torch.Tensor, ...]:
        """features: float32 (B, T, D), scaled and with positions. keys, values: float32 (layers, B, heads, P, d).
        kept: int64 (B,). Returns float32 (B, T, H), (B, T), and the memory without the frames ahead."""
        encoder = self.network.encoder
        frames, memory = features.shape[1], keys.shape[3]
        real = torch.ones_like(features[:, :, 0]) > 0
        x, new_keys, new_values = features, [], []
        blocks: list[Any] = [*encoder.encoders0, *encoder.encoders]
        for layer, block in enumerate(blocks):
            attention = block.self_attn
            query, key, value = attention.linear_q_k_v(block.norm1(x)).chunk(3, dim=-1)
            all_keys = torch.cat([keys[layer], split_heads(key, attention.heads)], dim=2)
            all_values = torch.cat([values[layer], split_heads(value, attention.heads)], dim=2)
            end = memory + frames - self.ahead
            new_keys.append(all_keys[:, :, end - memory : end])
            new_values.append(all_values[:, :, end - memory : end])
            attended = attention.linear_out(_attended(query, all_keys, all_values, kept, frames))
            attended = attended + attention.fsmn_block(value, real)
            x = attended + x if block.residual else attended
            x = x + block.feed_forward(block.norm2(x))
        x = encoder.after_norm(x)
        return x, self.network.predictor.weights(x), torch.stack(new_keys), torch.stack(new_values)

    def example(self) -> tuple[torch.Tensor, ...]:
        """See Graph."""
        shape = [2 if size < 0 else size for size in self.inputs["keys"]]
        features = torch.zeros(2, self.ahead + 4, self.inputs["features"][2])
        return features, torch.zeros(shape), torch.zeros(shape), torch.tensor([3, 0])


class DecoderChunkGraph(Graph):
    """Embeddings of the tokens that fired in one chunk to tokens."""

    outputs = ("best", "probability", "next_tokens", "next_keys", "next_values")

    def __init__(self, network: Paraformer, chunks: Chunks) -> None:
        super().__init__()
        self.network = network
        shapes = memory_shapes(network.config, chunks, network.encoder.config.blocks)
        dim = network.config.dim
        self.inputs = {
            "embeddings": (-1, -1, dim),
            "hidden": (-1, -1, dim),
            "tokens": shapes["tokens"],
            "keys": shapes["decoder"],
            "values": shapes["decoder"],
            "kept": (-1,),
        }

    def forward(
        self,
        embeddings: torch.Tensor,
        hidden: torch.Tensor,
        tokens: torch.Tensor,
        keys: torch.Tensor,
        values: torch.Tensor,
        kept: torch.Tensor,
    ) -> tuple[torch.Tensor, ...]:
        """embeddings: float32 (B, N, H). hidden: the chunk's frames, float32 (B, T, H). tokens: what each layer knew of
        the last tokens, float32 (layers, B, H, kernel - 1). keys, values: float32 (layers, B, heads, P, d). kept: int64
        (B,). Returns int64 (B, N), float32 (B, N), and the three memories."""
        decoder = self.network.decoder
        frames = hidden.shape[1]
        real = torch.ones_like(embeddings[:, :, 0]) > 0
        x, told = embeddings, []
        blocks: list[Any] = [*decoder.decoders, *decoder.decoders3]
        for layer, block in enumerate(blocks[:-1]):
            made = block.norm2(block.feed_forward(block.norm1(x)))
            seen = torch.cat([tokens[layer], made.transpose(1, 2)], dim=2)
            weight = block.self_attn.fsmn_block.weight
            x = x + made + F.conv1d(seen, weight, groups=weight.shape[0]).transpose(1, 2)
            attention = block.src_attn
            key, value = attention.linear_k_v(hidden).chunk(2, dim=-1)
            all_keys = torch.cat([keys[layer], split_heads(key, attention.heads)], dim=2)
            all_values = torch.cat([values[layer], split_heads(value, attention.heads)], dim=2)
            query = attention.linear_q(block.norm3(x))
            x = x + attention.linear_out(_attended(query, all_keys, all_values, kept, frames))
            told.append((seen[:, :, embeddings.shape[1] :], all_keys[:, :, frames:], all_values[:, :, frames:]))
        x = decoder.after_norm(blocks[-1].with_memory(x, real))
        return (*best(decoder.output_layer(x)), *(torch.stack(kind) for kind in zip(*told, strict=True)))

    def example(self) -> tuple[torch.Tensor, ...]:
        """See Graph."""
        dim = self.network.config.dim
        memories = [torch.zeros([2 if size < 0 else size for size in self.inputs[key]]) for key in ("tokens", "keys")]
        return torch.zeros(2, 3, dim), torch.zeros(2, 9, dim), *memories, memories[1].clone(), torch.tensor([3, 0])


def build(checkpoint: Checkpoint, *, strict: bool = True, chunks: Chunks | None = None) -> dict[str, Graph]:
    """`encoder_chunk` and `decoder_chunk` of a published `ParaformerStreaming`, in float32. Raises CheckpointError.

    strict: refuse tensors that the network does not know. chunks: how the stream will be cut; as published by default.
    """
    name, settings, chunks = checkpoint.name, checkpoint.config, chunks or Chunks()
    config = ParaformerConfig.from_config(settings, len(CharTokenizer(checkpoint)), name, kinds=(STREAMING,))
    frontend = FrontendConfig.from_config(settings.get("frontend_conf") or {}, name)
    encoder = SanmConfig.from_config(settings["encoder_conf"], frontend.dim, name)
    with torch.device("meta"):
        network = Paraformer(config, encoder)
    load_tensors_into(network, read_tensors(checkpoint), checkpoint, unused=TRAINING, strict=strict)
    return {
        "encoder_chunk": EncoderChunkGraph(network, chunks),
        "decoder_chunk": DecoderChunkGraph(network, chunks),
    }
