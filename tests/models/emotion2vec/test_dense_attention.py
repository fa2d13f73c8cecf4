"""Attention written out: the answers of the one that is used, and the gradients of the formula."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from overtone.models.emotion2vec import random_checkpoint
from overtone.models.emotion2vec.config import Architecture
from overtone.models.emotion2vec.dense_attention import DenseAttention, encode_dense
from overtone.models.emotion2vec.network import Emotion2vec
from overtone.models.layers import attention_span
from overtone.models.layers.alibi_attention import alibi_slopes, attend

WIDTH = 16
"""Of a head, and so that any number of heads is a multiple of the groups of the positional convolutions."""


def network(heads: int = 3, **audio_changes: Any) -> Emotion2vec:
    shape = random_checkpoint.SMALL | {"embed_dim": heads * WIDTH, "num_heads": heads}
    architecture = Architecture.from_config(random_checkpoint.config(shape, **audio_changes), "small")
    made = Emotion2vec(architecture)
    made.load_state_dict(random_checkpoint.seeded_weights(architecture, 0))
    return made


def rows(tokens: torch.Tensor, valid: torch.Tensor, extra: int) -> torch.Tensor:
    """Real rows of (batch, heads, tokens, width)."""
    return tokens.transpose(1, 2)[torch.nn.functional.pad(valid, (extra, 0), value=True)]


@pytest.mark.parametrize(
    "counts", [(1,), (37,), (64, 64), (150, 120, 1), (700, 500), (attention_span.MIN_TOKENS + 100, 500)]
)
@pytest.mark.parametrize("extra", [0, 10])
@pytest.mark.parametrize("heads", [1, 4, 6])
@torch.inference_mode()
def test_it_is_the_attention_that_answers(heads: int, extra: int, counts: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    net, frames = network(heads, num_extra_tokens=extra), max(counts) + len(counts) - 1
    dense = DenseAttention(net, frames, torch.tensor(counts))
    query, key, value = torch.randn(3, len(counts), heads, frames + extra, WIDTH)
    tokens_valid = torch.nn.functional.pad(dense.valid, (extra, 0), value=True)
    expected = attend(query, key, value, net.slopes(0), tokens_valid, extra)
    got = dense(0)(query, key, value)
    # Of long sequences `attend` leaves keys out, whose share moves an output by so much at most.
    left_out = (
        2 * attention_span.SKIPPED_SHARE * float(value.abs().max()) if frames >= attention_span.MIN_TOKENS else 0.0
    )
    torch.testing.assert_close(
        rows(got, dense.valid, extra), rows(expected, dense.valid, extra), rtol=0, atol=1e-6 + left_out
    )


@pytest.mark.parametrize("changes", [{}, {"learned_alibi_scale_per_layer": True}, {"use_alibi_encoder": False}])
@torch.inference_mode()
def test_the_encoder_with_it_is_the_encoder(changes: dict[str, bool]) -> None:
    torch.manual_seed(0)
    net, counts = network(**changes), torch.tensor([90, 40])
    features = torch.randn(2, 90, net.architecture.embed_dim)
    got, expected = encode_dense(net, features, counts), net.encode(features, counts)
    for row, count in enumerate(counts):
        # Three layers of sums in another order, on values of the order of 1 to 5.
        torch.testing.assert_close(got[row, :count], expected[row, :count], rtol=0, atol=1e-5)


def test_its_gradients_are_those_of_the_softmax_in_double_precision() -> None:
    torch.manual_seed(0)
    heads, extra, counts = 3, 10, torch.tensor([50, 30])
    net = network(heads)
    dense = DenseAttention(net, 50, counts)
    parts = [part.requires_grad_() for part in torch.randn(3, 2, heads, 50 + extra, WIDTH)]
    weights = torch.randn(2, heads, 50 + extra, WIDTH)
    scale = net.audio.alibi_scale
    assert scale is not None
    ours = torch.autograd.grad((dense(0)(*parts) * weights).sum(), [*parts, scale])

    place = torch.arange(50 + extra)
    distance = (place[:, None] - place).abs() * (place[:, None] >= extra) * (place >= extra)
    query, key, value = (part.detach().double().requires_grad_() for part in parts)
    wide = scale.detach().double().requires_grad_()
    slopes = torch.tensor(alibi_slopes(heads)).double() * wide.flatten()
    logits = query @ key.mT / math.sqrt(WIDTH) - slopes[:, None, None] * distance
    hidden = (place[None] - extra >= counts[:, None])[:, None, None]
    attended = logits.masked_fill(hidden, -math.inf).softmax(-1) @ value
    expected = torch.autograd.grad((attended * weights).sum(), [query, key, value, wide])

    for got, wanted in zip(ours, expected, strict=True):
        assert wanted.any()
        torch.testing.assert_close(got.double(), wanted, rtol=1e-4, atol=1e-5)
