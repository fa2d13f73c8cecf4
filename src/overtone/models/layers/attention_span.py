"""Attention span of a head of ALiBi: a bound on the loss when keys far from a query are left out.

For query i and key j with logit l_ij = q_i·k_j / sqrt(d), a head of slope s weighs exp(l_ij - s |i - j|). Let query i
leave out keys at distances over D. Their mass is at most

    exp(u_i) · t(D),   t(D) = min(n, 2 / (1 - exp(-s))) · exp(-s (D + 1))

where u_i >= l_ij for every key, n counts the keys, and t bounds the sum of exp(-s m) over m > D, on both sides. The
kept mass is at least exp(w_i), whatever keys w_i is summed over, as long as those are always kept. So the share left
out is at most exp(u_i - w_i) t(D), and no more than `share` once

    s (D + 1) >= u_i - w_i + log(min(n, 2 / (1 - exp(-s)))) - log(share).

u_i is the smaller of |q_i| max|k_j| and q_i·c + |q_i| max|k_j - c| (both Cauchy-Schwarz, over sqrt(d)), c being the
mean key: the part that all keys have in common moves all logits alike. w_i sums the extra tokens, which have no place
and so no bias, and the keys of the query's own unit of `UNIT` tokens, less s times their distance. Padded keys are in
none of these; padded queries, whose own unit may hold no key, are not asked. All of it costs T·UNIT, not T·T, and is
found from the data every time: keys with large norms widen the windows until nothing is left out.

An output moves by at most 2 · share · max|v|.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[Any]
"""Queries and keys as a runtime has them; they are looked at in float32."""

Bools = npt.NDArray[np.bool_]

SKIPPED_SHARE = 1e-7
"""Most of a softmax that may be left out: the rounding of a sum of ones in float32 (2^-24 is 6e-8)."""

UNIT = 16
"""Tokens whose queries share a window. The mass within 16 tokens bounded that of all keys nearly as well as of 32."""

MIN_TOKENS = 768
"""Shorter sequences are not asked: windows could save less there than finding them costs."""

_CHUNK_TOKENS = 512
"""Tokens looked at at a time, so that copies stay small and in a processor's caches."""

_ROUNDING = 2.0**-8
"""Of |q||k| / sqrt(d): error of logits in the matrix products here and in attention itself, bf16 included."""

_BIAS_ROUNDING = 2.0**-7
"""Of the bias, which attention in bf16 may round towards zero."""

_ALIKE = 64
"""Tokens. Windows below it cost the same, since a block of queries is that long itself."""


@dataclass(frozen=True, slots=True)
class HeadGroup:
    """Heads that share windows: for each unit of tokens after the extra ones, their reach in keys beyond it."""

    heads: tuple[int, ...]
    attention_spans: tuple[int, ...]

    @classmethod
    def of_all(cls, heads: int, tokens: int, extra: int) -> HeadGroup:
        """All heads, seeing everything."""
        return cls(tuple(range(heads)), (tokens,) * max(0, -(-(tokens - extra) // UNIT)))

    def reach(self, rows: range, extra: int) -> int:
        """Distance beyond these queries that keys are attended. `rows` begin at a unit's first token."""
        return max(self.attention_spans[(rows.start - extra) // UNIT : -(-(rows.stop - extra) // UNIT)])

    def keys(self, rows: range, extra: int, tokens: int) -> range:
        """Keys that queries `rows` attend to, beside the extra tokens."""
        reach = self.reach(rows, extra)
        return range(max(extra, rows.start - reach), min(tokens, rows.stop + reach))


def bands(
    query: Floats, key: Floats, slopes: Floats, valid: Bools | None, extra: int, share: float = SKIPPED_SHARE
) -> list[HeadGroup]:
    """Group all heads into few bands of similar reach, widest first; one band if nothing may be left out.

    - `query`, `key`: (batch, heads, tokens, head_dim).
    - `slopes`: (heads,).
    - `valid`: (batch, tokens), or None if all are real.
    """
    heads, tokens = query.shape[1:3]
    if share <= 0 or tokens < MIN_TOKENS or tokens <= extra:
        return [HeadGroup.of_all(heads, tokens, extra)]
    with np.errstate(all="ignore"):  # numbers that are none see everything
        found = attention_spans(score_margin(query, key, slopes, valid, extra), slopes, tokens - extra, share)
    return group_heads(found.tolist())


def score_margin(
    query: Floats, key: Floats, slopes: Floats, valid: Bools | None, extra: int
) -> npt.NDArray[np.float32]:
    """u_i - w_i, the largest of each unit over its real queries and all items; (heads, units).

    Arguments as `bands` has them. -inf for a unit without real queries.
    """
    hidden = None if valid is None else ~valid[:, None]
    pieces = _chunks(query.shape[0], query.shape[2], extra)
    longest, center, spread = _extent(key, hidden, pieces)
    fixed = np.asarray(key[:, :, :extra], np.float32)
    widest = np.concatenate([longest, _norm(fixed)], axis=-1).max(-1, keepdims=True)
    found = []
    for piece in pieces:
        some = np.asarray(query[:, :, piece], np.float32) / math.sqrt(query.shape[-1])
        norm = _norm(some)
        upper = np.minimum(norm * longest, (some @ center.swapaxes(-1, -2))[..., 0] + norm * spread)
        outside = None if hidden is None else hidden[:, :, piece]
        kept = _near(some, np.asarray(key[:, :, piece], np.float32), slopes, outside)
        if extra:
            kept = np.logaddexp(kept, _logsumexp(some @ fixed.swapaxes(-1, -2)))
        over = upper - kept + _ROUNDING * norm * widest
        if outside is not None:
            over = np.where(outside, -np.inf, over)
        found.append(_units(over, -np.inf).max(-1).max(0))
    return np.concatenate(found, axis=-1)


def attention_spans(score_margin: Floats, slopes: Floats, keys: int, share: float) -> npt.NDArray[np.int64]:
    """The smallest D for each unit; (heads, units), at most `keys`, which is everything.

    - `score_margin`: (heads, units).
    - `slopes`: (heads,).
    - `keys`: how many have a place.
    """
    slope = slopes.astype(np.float64)[:, None] * (1 - _BIAS_ROUNDING)
    mass = np.log(np.minimum(2 / -np.expm1(-slope), keys))
    need = (score_margin.astype(np.float64) + mass - math.log(share)) / slope - 1
    # No slope, or numbers that are none: everything is seen.
    need = np.nan_to_num(np.ceil(need), nan=keys, posinf=keys, neginf=0)
    return need.clip(0, keys).astype(np.int64)


def group_heads(attention_spans: Sequence[Sequence[int]]) -> list[HeadGroup]:
    """Heads whose mean reaches are within a factor of two, together; widest first."""
    cost = [max(_ALIKE, sum(units) / len(units)) for units in attention_spans]
    found: list[HeadGroup] = []
    members: list[int] = []
    for head in sorted(range(len(cost)), key=lambda head: -cost[head]):
        if members and cost[members[0]] > 2 * cost[head]:
            found.append(_band(members, attention_spans))
            members = []
        members.append(head)
    return [*found, _band(members, attention_spans)]


def _band(heads: list[int], attention_spans: Sequence[Sequence[int]]) -> HeadGroup:
    return HeadGroup(
        tuple(sorted(heads)),
        tuple(max(units) for units in zip(*(attention_spans[head] for head in heads), strict=True)),
    )


def _chunks(batch: int, tokens: int, extra: int) -> list[slice]:
    """The tokens that have a place, in stretches of whole units."""
    step = max(UNIT, _CHUNK_TOKENS // batch // UNIT * UNIT)
    return [slice(start, min(start + step, tokens)) for start in range(extra, tokens, step)]


def _extent(
    key: Floats, hidden: Bools | None, pieces: list[slice]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """The real keys' largest norm, mean key, and largest distance from it; (batch, heads, 1) but for the mean,
    (batch, heads, 1, head_dim).
    """

    def real(x: Floats, piece: slice) -> Floats:
        if hidden is None:
            return x
        outside = hidden[:, :, piece]
        return np.where(outside if x.ndim == 3 else outside[..., None], np.float32(0), x)

    sums, longest, spread = [], [], []
    for piece in pieces:
        some = real(np.asarray(key[:, :, piece], np.float32), piece)
        sums.append(some.sum(2, keepdims=True))
        longest.append(_norm(some).max(-1, keepdims=True))
    # Any vector would do; padding in the count only moves it.
    center = np.stack(sums).sum(0) / np.float32(sum(piece.stop - piece.start for piece in pieces))
    for piece in pieces:
        norm = _norm(np.asarray(key[:, :, piece], np.float32) - center)
        spread.append(real(norm, piece).max(-1, keepdims=True))
    return np.stack(longest).max(0), center, np.stack(spread).max(0)


def _norm(x: Floats) -> Floats:
    norm: Floats = np.sqrt(np.einsum("...d,...d->...", x, x))
    return norm


def _logsumexp(x: Floats) -> Floats:
    """Log of the summed exponentials over the last axis; -inf where all is."""
    most = x.max(-1, keepdims=True)
    most = np.where(np.isneginf(most), np.float32(0), most)
    total: Floats = np.log(np.exp(x - most).sum(-1)) + most[..., 0]
    return total


def _filled(x: Floats, fill: float) -> Floats:
    """Fill up to whole units along the third axis."""
    widths = [(0, 0)] * x.ndim
    widths[2] = (0, -x.shape[2] % UNIT)
    return np.pad(x, widths, constant_values=fill)


def _units(x: Floats, fill: float) -> Floats:
    """(batch, heads, tokens) as (batch, heads, units, UNIT), filled up."""
    return _filled(x, fill).reshape(*x.shape[:2], -1, UNIT)


def _near(query: Floats, key: Floats, slopes: Floats, hidden: Bools | None) -> Floats:
    """Log of the mass of each query's own unit; (batch, heads, tokens). The queries are scaled already."""
    tokens = query.shape[2]
    queries, keys = (_filled(x, 0).reshape(*x.shape[:2], -1, UNIT, x.shape[3]) for x in (query, key))
    place = np.arange(UNIT)
    logits = queries @ keys.swapaxes(-1, -2)
    logits -= (slopes[:, None, None] * np.abs(place[:, None] - place)).astype(np.float32)[:, None]
    if hidden is None:
        hidden = np.zeros((1, 1, tokens), np.bool_)
    logits = np.where(_units(hidden, 1)[..., None, :], -np.inf, logits)
    return _logsumexp(logits).reshape(*query.shape[:2], -1)[:, :, :tokens]
