"""Self-attention with ALiBi whose bias is never built as a frames × frames × heads tensor.

ALiBi (Press et al., 2022, "Train Short, Test Long"), in data2vec 2.0's symmetric form: query i sees key j with
`-slope[head] * |i - j|` added to the logit. Queries are taken in blocks, so the bias lives only for one block
and memory grows linearly with length. On a CPU heads whose slope leaves nothing of far keys do not look at them
(`attention_span`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F

from overtone.models.layers.attention_span import SKIPPED_SHARE, UNIT, HeadGroup, bands

Attend = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
"""Attention: queries, keys and values (batch, heads, tokens, head_dim) to the mixed values of each query."""

AttendBy = Callable[..., torch.Tensor]
"""An implementation of attention, with the arguments of `attend` and its answers."""

BIAS_BYTES = 8 << 20
"""Bytes that the bias of some blocks may take, or `_MIN_QUERIES` of it if that is more (beyond some 2 minutes). Large
enough that the matrix products dominate: 32 MiB were no faster at any length, and took 50 to 150 MiB more at 30 s."""

_MIN_QUERIES, _QUERIES, _QUERIES_GPU = 32, 64, 256
"""Queries of a block, multiples of `attention_span.UNIT`. On a CPU PyTorch's kernel takes 32 at a time, and more
than 64 only widen the windows; a GPU has more to do at once, and pays for every call."""


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


def alibi_bias(slopes: torch.Tensor, rows: int, offsets: range) -> torch.Tensor:
    """Bias of `rows` successive queries against keys at `offsets` from the first; (heads, rows, offsets).

    In the slopes' dtype. A later block of queries sees the same, shifted: slices of one tensor serve many blocks.
    """
    query = torch.arange(rows, device=slopes.device, dtype=slopes.dtype)
    key = torch.arange(offsets.start, offsets.stop, device=slopes.device, dtype=slopes.dtype)
    return slopes[:, None, None] * (query[:, None] - key).abs_().neg_()


def attend(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    slopes: torch.Tensor | None,
    valid: torch.Tensor | None,
    extra: int,
    share: float = SKIPPED_SHARE,
) -> torch.Tensor:
    """Softmax attention of all queries, block by block; the shape of `query`.

    Rows of tokens that are not real are meaningless, and finite.

    - `query`, `key`, `value`: (batch, heads, tokens, head_dim).
    - `slopes`: float32 (heads,), or None for no ALiBi.
    - `valid`: bool (batch, tokens), True where a token is real, or None if all are.
    - `extra`: so many first tokens have no place in time: as queries and as keys they have no bias.
    - `share`: of each softmax, the most that may be left out; 0 for none.
    """
    if slopes is None:
        mask = None if valid is None else valid[:, None, None, :]
        return F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
    out = torch.empty_like(query)
    if valid is not None and query.device.type == "cpu":
        # Padding that all items share is left out, which is faster than to hide it. A GPU would have to be waited for.
        end = int((valid.any(0) * torch.arange(1, valid.shape[1] + 1)).max())
        out[:, :, end:] = 0
        query, key, value, valid = query[:, :, :end], key[:, :, :end], value[:, :, :end], valid[:, :end]
        valid = None if bool(valid.all()) else valid
    if extra:
        mask = None if valid is None else valid[:, None, None, :]
        out[:, :, :extra] = F.scaled_dot_product_attention(query[:, :, :extra], key, value, attn_mask=mask)
    for band in _bands(query, key, slopes, valid, extra, share):
        first, last = band.heads[0], band.heads[-1] + 1
        # A list of heads copies them; a slice does not.
        heads = slice(first, last) if last - first == len(band.heads) else list(band.heads)
        tensors = (query[:, heads], key[:, heads], value[:, heads])
        for rows, part in _blocks(*tensors, slopes[heads], valid, extra, band):
            out[:, heads, rows.start : rows.stop] = part
    return out


def _bands(
    query: torch.Tensor,
    key: torch.Tensor,
    slopes: torch.Tensor,
    valid: torch.Tensor | None,
    extra: int,
    share: float,
) -> list[HeadGroup]:
    """Bands of heads, by `attention_span.bands`. A GPU would have to be waited for, and sees everything."""
    if query.device.type != "cpu":
        return [HeadGroup.of_all(query.shape[1], query.shape[2], extra)]
    arrays = (query.float().numpy(), key.float().numpy(), slopes.float().numpy())
    return bands(*arrays, None if valid is None else valid.numpy(), extra, share)


def _blocks(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    slopes: torch.Tensor,
    valid: torch.Tensor | None,
    extra: int,
    band: HeadGroup,
) -> Iterator[tuple[range, torch.Tensor]]:
    """Attention of the heads of one band, some queries at a time; arguments as in `attend`, for these heads alone."""
    tokens, dtype = query.shape[2], query.dtype
    size, run = _sizes(query, valid, extra, band)
    hidden = None if valid is None else ~valid[:, None, None, :]
    whole, offsets = slopes, range(0)
    for start in range(extra, tokens, size):
        if (start - extra) % run == 0:
            starts = range(start, min(start + run, tokens), size)
            offsets = _offsets(starts, size, extra, tokens, max(band.attention_spans))
            whole = alibi_bias(slopes, size, offsets).to(dtype)
        rows = range(start, min(start + size, tokens))
        keys = band.keys(rows, extra, tokens)
        first = keys.start - start - offsets.start
        # The extra tokens' columns are those left of the window's, which other blocks may want back.
        fixed = whole[:, :, first - extra : first]
        before = fixed.clone()
        fixed.zero_()
        bias = whole[None, :, : len(rows), first - extra : first + len(keys)]
        if hidden is not None:
            # Finite, so that padding which sees nothing but padding gives no NaN; and still nothing to what is real.
            bias = bias.masked_fill(_window(hidden, -1, keys, extra), torch.finfo(dtype).min / 2)
        elif bias.is_cuda:
            bias = bias.contiguous()  # kernels there want aligned rows
        yield (
            rows,
            F.scaled_dot_product_attention(
                query[:, :, rows.start : rows.stop],
                _window(key, 2, keys, extra),
                _window(value, 2, keys, extra),
                attn_mask=bias,
            ),
        )
        fixed.copy_(before)


def _window(x: torch.Tensor, dim: int, keys: range, extra: int) -> torch.Tensor:
    """The extra tokens and `keys` of a tensor; no copy if they are neighbors."""
    if keys.start == extra or not extra:
        start = keys.start - extra
        return x.narrow(dim, start, keys.stop - start)
    return torch.cat([x.narrow(dim, 0, extra), x.narrow(dim, keys.start, len(keys))], dim)


def _offsets(starts: range, size: int, extra: int, tokens: int, reach: int) -> range:
    """Places of keys relative to a block's first query, for blocks of `size` that start at `starts`."""
    return range(-min(reach, starts[-1] - extra) - extra, min(size + reach, tokens - starts.start))


def _sizes(query: torch.Tensor, valid: torch.Tensor | None, extra: int, band: HeadGroup) -> tuple[int, int]:
    """Queries of a block, and how many queries the same tensor of the bias serves, within `BIAS_BYTES`."""
    batch, heads, tokens, _ = query.shape
    reach = max(band.attention_spans)
    most = BIAS_BYTES // (heads * query.element_size())
    # With padding to hide, the bias differs between the items of the batch and is held for each of them.
    copies = batch if valid is not None else int(query.is_cuda)

    def columns(size: int) -> int:  # of one block
        window = min(size + 2 * reach + extra, tokens)
        return window + copies * window

    size = _QUERIES_GPU if query.is_cuda else _QUERIES
    while size > _MIN_QUERIES and size * columns(size) > most:
        size -= UNIT
    if size + 2 * reach + extra <= tokens:
        return size, -(-tokens // size) * size  # the window is the same everywhere
    # Each further block moves everything by its size.
    return size, size * (1 + max(0, most // size - columns(size)) // size)
