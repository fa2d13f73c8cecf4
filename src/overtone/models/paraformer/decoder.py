"""Paraformer's decoder: all tokens of a sentence at once, from their acoustic embeddings (arXiv:2206.08317).

No token waits for the one before it: instead of self-attention a memory looks at neighboring tokens, and attention at
the encoder's frames, or at hot words. Parameters have the names that published checkpoints give them.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from overtone.models.layers.best_token import best_token
from overtone.models.layers.sanm import FsmnMemory, masked_attention, split_heads
from overtone.models.paraformer.config import DecoderConfig

_EPSILON = 1e-12
"""Of all layer normalizations."""


class _FeedForward(nn.Module):
    """Two linear maps with a ReLU and a normalization between them."""

    def __init__(self, size: int, units: int) -> None:
        super().__init__()
        self.w_1 = nn.Linear(size, units)
        self.norm = nn.LayerNorm(units, eps=_EPSILON)
        self.w_2 = nn.Linear(units, size, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.w_2(self.norm(F.relu(self.w_1(x))))
        return result


class _Memory(nn.Module):
    """The memory in the place of self-attention, under the name that it has there."""

    def __init__(self, size: int, config: DecoderConfig) -> None:
        super().__init__()
        self.fsmn_block = FsmnMemory(size, config.kernel, config.shift)


class CrossAttention(nn.Module):
    """Attention of tokens to what has been heard."""

    def __init__(self, size: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.linear_q = nn.Linear(size, size)
        self.linear_k_v = nn.Linear(size, 2 * size)
        self.linear_out = nn.Linear(size, size)

    def forward(self, x: torch.Tensor, heard: torch.Tensor, hidden: torch.Tensor) -> torch.Tensor:
        """x: tokens (B, N, size). heard: (B, T, size), of which `hidden` (B, 1, 1, T) hides padding."""
        key, value = self.linear_k_v(heard).chunk(2, dim=-1)
        result: torch.Tensor = self.linear_out(masked_attention(self.linear_q(x), key, value, hidden, self.heads))
        return result

    def attention_weights(self, x: torch.Tensor, heard: torch.Tensor, hidden: torch.Tensor) -> torch.Tensor:
        """Attention weights of each token over places, (B, heads, N, T), adding up to 1 over places."""
        query = split_heads(self.linear_q(x), self.heads)
        key = split_heads(self.linear_k_v(heard).chunk(2, dim=-1)[0], self.heads)
        scores = torch.matmul(query * query.shape[-1] ** -0.5, key.transpose(-2, -1))
        return torch.softmax(scores + hidden, dim=-1)


class _Layer(nn.Module):
    """Feed-forward, memory, attention; the last two are left out of some layers."""

    def __init__(self, size: int, config: DecoderConfig, *, remembers: bool = True, attends: bool = True) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(size, eps=_EPSILON)
        self.feed_forward = _FeedForward(size, config.units)
        self.self_attn = _Memory(size, config) if remembers else None
        if remembers:
            self.norm2 = nn.LayerNorm(size, eps=_EPSILON)
        self.src_attn = CrossAttention(size, config.heads) if attends else None
        if attends:
            self.norm3 = nn.LayerNorm(size, eps=_EPSILON)

    def with_memory(self, x: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
        """All but attention: tokens (B, N, size), of which `valid` bool (B, N) are real, to the same shape."""
        made: torch.Tensor = self.feed_forward(self.norm1(x))
        return made if self.self_attn is None else x + self.self_attn.fsmn_block(self.norm2(made), valid)

    def forward(self, x: torch.Tensor, valid: torch.Tensor, heard: torch.Tensor, hidden: torch.Tensor) -> torch.Tensor:
        x = self.with_memory(x, valid)
        return x if self.src_attn is None else x + self.src_attn(self.norm3(x), heard, hidden)


class ParaformerDecoder(nn.Module):
    """Tokens from their embeddings. With `vocabulary`, their logits are outputs as well; with `embed`, it also holds
    the embeddings that hot words are given by."""

    def __init__(
        self, size: int, config: DecoderConfig, *, vocabulary: int | None = None, embed: int | None = None
    ) -> None:
        super().__init__()
        self.decoders = nn.ModuleList(_Layer(size, config) for _ in range(config.attending))
        if config.more:
            unshifted = DecoderConfig(config.heads, config.units, config.attending, config.more, config.kernel, 0)
            self.decoders2 = nn.ModuleList(_Layer(size, unshifted, attends=False) for _ in range(config.more))
        self.decoders3 = nn.ModuleList([_Layer(size, config, remembers=False, attends=False)])
        self.after_norm = nn.LayerNorm(size, eps=_EPSILON)
        if vocabulary is not None:
            self.output_layer = nn.Linear(size, vocabulary)
        if embed is not None:
            # Not drawn at random: without memory PyTorch would load its compiler for that, which takes seconds.
            self.embed = nn.ModuleList([nn.Embedding(embed, size, _weight=torch.empty(embed, size))])
        self._layers = (*self.decoders, *(self.decoders2 if config.more else ()), *self.decoders3)

    def forward(self, x: torch.Tensor, valid: torch.Tensor, heard: torch.Tensor, hidden: torch.Tensor) -> torch.Tensor:
        """x: embeddings (B, N, size). valid: bool (B, N). heard: (B, T, size), its padding hidden by (B, 1, 1, T).

        Returns a vector of each token, (B, N, size); `output_layer` makes logits of it.
        """
        for layer in self._layers:
            x = layer(x, valid, heard, hidden)
        result: torch.Tensor = self.after_norm(x)
        return result

    def attention_weights(
        self, x: torch.Tensor, valid: torch.Tensor, heard: torch.Tensor, hidden: torch.Tensor, layer: int
    ) -> torch.Tensor:
        """Attention weights of `layer`, (B, heads, N, T); the other arguments as for `forward`."""
        for before in self.decoders[:layer]:
            x = before(x, valid, heard, hidden)
        last = self.decoders[layer]
        assert isinstance(last, _Layer)
        assert last.src_attn is not None
        return last.src_attn.attention_weights(last.norm3(last.with_memory(x, valid)), heard, hidden)


def best(logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The likeliest token at each place, int64, and its probability: (B, N) each, of (B, N, vocabulary)."""
    token, probability, _ = best_token(logits)
    return token, probability
