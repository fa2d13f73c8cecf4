"""Self-attention with ALiBi whose bias is never built as a frames × frames × heads tensor.

ALiBi (Press et al., 2022, "Train Short, Test Long"), in data2vec 2.0's symmetric form: query i sees key j with
`-slope[head] * |i - j|` added to the logit. Queries are taken in blocks, so the bias lives only for one block
and memory grows linearly with length.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F

Attend = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
"""Queries, keys and values (batch, heads, tokens, head_dim) to what the queries take of the values."""

AttendBy = Callable[..., torch.Tensor]
"""A way to attend, with the arguments of `attend` and its answers."""

BIAS_BYTES = 8 << 20
"""Bytes that one block of the bias may take, or `_LEAST_QUERIES` of it if that is more (beyond some 3 minutes). Large
enough that the matrix products dominate: 32 MiB were no faster at any length, and took 50 to 150 MiB more at 30 s."""

_LEAST_QUERIES = 16


def alibi_slopes(heads: int) -> list[float]:
    """Slope of every head, steepest first: a geometric sequence from 2^(-8/n).

    For a number of heads that is not a power of two, the paper's rule: the slopes of the power of two below,
    then every second slope of the power of two above.
    """

    def of_power(n: int) -> list[float]:
        start = 2.0 ** (-(2.0 ** -(math.log2(n) - 3)))
        return [start ** (i + 1) for i in range(n)]

    below = 1 << (heads.bit_length() - 1)
    if below == heads:
        return of_power(heads)
    return of_power(below) + of_power(2 * below)[0::2][: heads - below]


def alibi_bias(slopes: torch.Tensor, rows: range, keys: int, extra: int) -> torch.Tensor:
    """Bias of the queries `rows` against all `keys`, shape (heads, len(rows), keys), in the slopes' dtype.

    The first `extra` tokens have no place in time: their rows and columns are zero.
    """
    device = slopes.device
    query = torch.arange(rows.start, rows.stop, device=device, dtype=slopes.dtype)
    key = torch.arange(keys, device=device, dtype=slopes.dtype)
    distance = (query[:, None] - key[None, :]).abs_().neg_()
    distance[:, :extra] = 0
    distance[: max(0, min(rows.stop, extra) - rows.start)] = 0
    return slopes[:, None, None] * distance


def attend(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    slopes: torch.Tensor | None,
    valid: torch.Tensor | None,
    extra: int,
) -> torch.Tensor:
    """Softmax attention of all queries, block by block.

    query, key, value: (batch, heads, tokens, head_dim). slopes: float32 (heads,), or None for no ALiBi.
    valid: bool (batch, tokens), True where a token is real, or None if all are. Returns query's shape.
    """
    batch, heads, tokens, _ = query.shape
    if slopes is None:
        mask = None if valid is None else valid[:, None, None, :]
        return F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
    hidden = None if valid is None else ~valid[:, None, None, :]
    # With a key mask the bias differs between the items of the batch and is held for each of them.
    row_bytes = heads * tokens * query.element_size() * (1 if hidden is None else batch)
    step = max(_LEAST_QUERIES, BIAS_BYTES // row_bytes)
    out = torch.empty_like(query)
    for start in range(0, tokens, step):
        rows = range(start, min(start + step, tokens))
        bias = alibi_bias(slopes, rows, tokens, extra).to(query.dtype)[None]
        if hidden is not None:
            bias = bias.masked_fill(hidden, float("-inf"))
        out[:, :, rows.start : rows.stop] = F.scaled_dot_product_attention(
            query[:, :, rows.start : rows.stop], key, value, attn_mask=bias
        )
    return out
