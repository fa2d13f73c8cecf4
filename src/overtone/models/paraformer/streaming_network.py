"""Paraformer on speech that is still going on, chunk by chunk, as graphs: what they remember goes in, and what may be
remembered of the chunk comes out.

Each chunk is encoded with some frames after it that are not its own yet, and with the keys and values of chunks before
it. `kept` says how much of a memory is filled, so chunks can have the same shapes from the first one on. How a stream
is cut, and how much it remembers, is for the caller: the same graphs serve any `Chunks`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F

from overtone.models.checkpoints import Checkpoint
from overtone.models.features.fbank import FrontendConfig
from overtone.models.graph import Graph
from overtone.models.layers.sanm import padding_mask, split_heads
from overtone.models.layers.sanm_config import SanmConfig
from overtone.models.paraformer.chunking import memory_shapes
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


class EncoderStepGraph(Graph):
    """One chunk's features, with those after it, to frames and their shares of tokens."""

    outputs = ("hidden", "alphas", "new_keys", "new_values")

    def __init__(self, network: Paraformer) -> None:
        super().__init__()
        self.network = network
        memory = memory_shapes(network.config, network.encoder.config.blocks)["encoder"]
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
        kept: int64 (B,). Returns float32 (B, T, H), (B, T), and keys and values of these frames, float32 (layers, B,
        heads, T, d)."""
        encoder = self.network.encoder
        frames = features.shape[1]
        real = torch.ones_like(features[:, :, 0]) > 0
        x, new_keys, new_values = features, [], []
        blocks: list[Any] = [*encoder.encoders0, *encoder.encoders]
        for layer, block in enumerate(blocks):
            attention = block.self_attn
            query, key, value = attention.linear_q_k_v(block.norm1(x)).chunk(3, dim=-1)
            new_keys.append(split_heads(key, attention.heads))
            new_values.append(split_heads(value, attention.heads))
            all_keys = torch.cat([keys[layer], new_keys[-1]], dim=2)
            all_values = torch.cat([values[layer], new_values[-1]], dim=2)
            attended = attention.linear_out(_attended(query, all_keys, all_values, kept, frames))
            attended = attended + attention.fsmn_block(value, real)
            x = attended + x if block.residual else attended
            x = x + block.feed_forward(block.norm2(x))
        x = encoder.after_norm(x)
        return x, self.network.predictor.weights(x), torch.stack(new_keys), torch.stack(new_values)

    def example(self) -> tuple[torch.Tensor, ...]:
        """See Graph."""
        memory = torch.zeros(_example_shape(self.inputs["keys"]))
        return torch.zeros(2, 9, self.inputs["features"][2]), memory, memory.clone(), torch.tensor([3, 0])


class DecoderStepGraph(Graph):
    """Embeddings of the tokens that fired in one chunk to tokens."""

    outputs = ("best", "probability", "next_tokens", "new_keys", "new_values")

    def __init__(self, network: Paraformer) -> None:
        super().__init__()
        self.network = network
        shapes = memory_shapes(network.config, network.encoder.config.blocks)
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
        (B,). Returns int64 (B, N), float32 (B, N), the last tokens with these, and keys and values of these frames."""
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
            key, value = split_heads(key, attention.heads), split_heads(value, attention.heads)
            all_keys = torch.cat([keys[layer], key], dim=2)
            all_values = torch.cat([values[layer], value], dim=2)
            query = attention.linear_q(block.norm3(x))
            x = x + attention.linear_out(_attended(query, all_keys, all_values, kept, frames))
            told.append((seen[:, :, embeddings.shape[1] :], key, value))
        x = decoder.after_norm(blocks[-1].with_memory(x, real))
        return (*best(decoder.output_layer(x)), *(torch.stack(kind) for kind in zip(*told, strict=True)))

    def example(self) -> tuple[torch.Tensor, ...]:
        """See Graph."""
        dim = self.network.config.dim
        memories = [torch.zeros(_example_shape(self.inputs[key])) for key in ("tokens", "keys")]
        return torch.zeros(2, 3, dim), torch.zeros(2, 9, dim), *memories, memories[1].clone(), torch.tensor([3, 0])


def _example_shape(shape: Sequence[int]) -> list[int]:
    """The shape of a memory of six frames, or of the last tokens, for two streams."""
    batch, frames = 1, 3
    sizes = {batch: 2, frames: 6}
    return [sizes[axis] if size < 0 else size for axis, size in enumerate(shape)]


def build(checkpoint: Checkpoint, *, strict: bool = True) -> dict[str, Graph]:
    """`encoder_step` and `decoder_step` of a published `ParaformerStreaming`, in float32. Raises CheckpointError.

    strict: refuse tensors that the network does not know.
    """
    name, settings = checkpoint.name, checkpoint.config
    config = ParaformerConfig.from_config(settings, len(CharTokenizer(checkpoint)), name, kinds=(STREAMING,))
    frontend = FrontendConfig.from_config(settings.get("frontend_conf"), name)
    encoder = SanmConfig.from_config(settings["encoder_conf"], frontend.dim, name)
    with torch.device("meta"):
        network = Paraformer(config, encoder)
    load_tensors_into(network, read_tensors(checkpoint), checkpoint, unused=TRAINING, strict=strict)
    return {"encoder_step": EncoderStepGraph(network), "decoder_step": DecoderStepGraph(network)}
