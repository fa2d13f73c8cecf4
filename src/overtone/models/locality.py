"""How far a head of ALiBi can see: a bound on what attention loses when keys far from a query are left out.

For query i and key j with logit l_ij = q_i·k_j / sqrt(d), a head of slope s weighs exp(l_ij - s |i - j|). Let query i
leave out keys at distances over D. Their mass is at most

    exp(u_i) · t(D),   t(D) = min(n, 2 / (1 - exp(-s))) · exp(-s (D + 1))

where u_i >= l_ij for every key, n counts the keys, and t bounds the sum of exp(-s m) over m > D, on both sides. What is
kept weighs at least exp(w_i), whatever keys w_i is summed over, as long as those are always kept. So the share left out
is at most exp(u_i - w_i) t(D), and no more than `share` once

    s (D + 1) >= u_i - w_i + log(min(n, 2 / (1 - exp(-s)))) - log(share).

u_i is the smaller of |q_i| max|k_j| and q_i·c + |q_i| max|k_j - c| (both Cauchy-Schwarz, over sqrt(d)), c being the
mean key: what all keys have in common moves all logits alike. w_i sums the extra tokens, which have no place and so no
bias, and the keys of the query's own unit of `UNIT` tokens, less s times their distance. Padded keys are in none of
these; padded queries, whose own unit may hold no key, are not asked. All of it costs T·UNIT, not T·T, and is found from
the data every time: keys with large norms widen the windows until nothing is left out.

An output moves by at most 2 · share · max|v|.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F

SKIPPED_SHARE = 1e-7
"""Most of a softmax that may be left out: what float32 rounds a sum of ones by (2^-24 is 6e-8)."""

UNIT = 16
"""Tokens whose queries share a window. The mass within 16 tokens bounded that of all keys nearly as well as of 32."""

LEAST_TOKENS = 768
"""Shorter sequences are not asked: what windows could save there is less than finding them costs."""

_CHUNK_TOKENS = 512
"""Tokens looked at at a time, so that copies stay small and in a processor's caches."""

_ROUNDING = 2.0**-8
"""Of |q||k| / sqrt(d): what logits may be off by in the matrix products here and in attention itself, TF32 included."""

_ALIKE = 64
"""Tokens. Windows below it cost the same, since a block of queries is that long itself."""


@dataclass(frozen=True, slots=True)
class Band:
    """Heads that share windows: for each unit of tokens after the extra ones, how far beyond it keys are attended."""

    heads: tuple[int, ...]
    reaches: tuple[int, ...]

    def reach(self, rows: range, extra: int) -> int:
        """How far beyond these queries keys are attended. `rows` begin at a unit's first token."""
        return max(self.reaches[(rows.start - extra) // UNIT : -(-(rows.stop - extra) // UNIT)])

    def keys(self, rows: range, extra: int, tokens: int) -> range:
        """Keys that queries `rows` attend to, beside the extra tokens."""
        reach = self.reach(rows, extra)
        return range(max(extra, rows.start - reach), min(tokens, rows.stop + reach))


def bands(
    query: torch.Tensor,
    key: torch.Tensor,
    slopes: torch.Tensor,
    valid: torch.Tensor | None,
    extra: int,
    share: float = SKIPPED_SHARE,
) -> list[Band]:
    """All heads, in few bands of similar reach, widest first; one that sees everything if nothing may be left out.

    query, key: (batch, heads, tokens, head_dim). slopes: float32 (heads,). valid: bool (batch, tokens) or None.
    On a GPU this waits for the device once.
    """
    heads, tokens = query.shape[1:3]
    units = -(-(tokens - extra) // UNIT)
    if share <= 0 or tokens < LEAST_TOKENS or units <= 0:
        return [Band(tuple(range(heads)), (tokens,) * max(units, 0))]
    # A bias in half precision may be rounded towards zero.
    least = slopes * (1 - torch.finfo(query.dtype).eps)
    found = reaches(excess(query, key, slopes, valid, extra), least, tokens - extra, share)
    return group(found.tolist())


def excess(
    query: torch.Tensor, key: torch.Tensor, slopes: torch.Tensor, valid: torch.Tensor | None, extra: int
) -> torch.Tensor:
    """u_i - w_i, the largest of each unit over its real queries and all items; float32 (heads, units).

    Arguments as `bands` has them. -inf for a unit without real queries.
    """
    hidden = None if valid is None else ~valid[:, None]
    pieces = _chunks(query.shape[0], query.shape[2], extra)
    longest, centre, spread = _extent(key, hidden, pieces)
    fixed = key[:, :, :extra].float()
    widest = torch.cat([longest, fixed.norm(dim=-1)], dim=-1).amax(-1, keepdim=True)
    found = []
    for piece in pieces:
        some = query[:, :, piece].float() / math.sqrt(query.shape[-1])
        norm = some.norm(dim=-1)
        upper = torch.minimum(norm * longest, (some @ centre.mT).squeeze(-1) + norm * spread)
        outside = None if hidden is None else hidden[:, :, piece]
        kept = _near(some, key[:, :, piece].float(), slopes, outside)
        if extra:
            kept = torch.logaddexp(kept, (some @ fixed.mT).logsumexp(-1))
        over = upper - kept + _ROUNDING * norm * widest
        if outside is not None:
            over = over.masked_fill(outside, float("-inf"))
        found.append(_units(over, float("-inf")).amax(-1).amax(0))
    return torch.cat(found, dim=-1)


def reaches(excess: torch.Tensor, slopes: torch.Tensor, keys: int, share: float) -> torch.Tensor:
    """The smallest D for each unit; int64 (heads, units), at most `keys`, which is everything.

    excess: float32 (heads, units), from `excess`. slopes: (heads,). keys: how many have a place.
    """
    slope = slopes.double()[:, None]
    mass = (2 / -torch.expm1(-slope)).clamp_max(keys).log()
    need = (excess.double() + mass - math.log(share)) / slope - 1
    # No slope, or numbers that are none: everything is seen.
    return need.ceil().nan_to_num(nan=keys, posinf=keys, neginf=0).clamp(0, keys).long()


def group(reaches: Sequence[Sequence[int]]) -> list[Band]:
    """Heads whose mean reaches are within a factor of two, together; widest first."""
    cost = [max(_ALIKE, sum(units) / len(units)) for units in reaches]
    found: list[Band] = []
    members: list[int] = []
    for head in sorted(range(len(cost)), key=lambda head: -cost[head]):
        if members and cost[members[0]] > 2 * cost[head]:
            found.append(_band(members, reaches))
            members = []
        members.append(head)
    return [*found, _band(members, reaches)]


def _band(heads: list[int], reaches: Sequence[Sequence[int]]) -> Band:
    return Band(
        tuple(sorted(heads)), tuple(max(units) for units in zip(*(reaches[head] for head in heads), strict=True))
    )


def _chunks(batch: int, tokens: int, extra: int) -> list[slice]:
    """The tokens that have a place, in stretches of whole units."""
    step = max(UNIT, _CHUNK_TOKENS // batch // UNIT * UNIT)
    return [slice(start, min(start + step, tokens)) for start in range(extra, tokens, step)]


def _extent(
    key: torch.Tensor, hidden: torch.Tensor | None, pieces: list[slice]
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The real keys' largest norm, mean key, and largest distance from it; float32 (batch, heads, 1) but for the mean,
    (batch, heads, 1, head_dim).
    """

    def real(x: torch.Tensor, piece: slice) -> torch.Tensor:
        if hidden is None:
            return x
        outside = hidden[:, :, piece]
        return x.masked_fill(outside if x.dim() == 3 else outside[..., None], 0)

    sums, longest, spread = [], [], []
    for piece in pieces:
        some = real(key[:, :, piece].float(), piece)
        sums.append(some.sum(2, keepdim=True))
        longest.append(some.norm(dim=-1).amax(-1, keepdim=True))
    # Any vector would do; padding in the count only moves it.
    centre = torch.stack(sums).sum(0) / sum(piece.stop - piece.start for piece in pieces)
    for piece in pieces:
        norm = (key[:, :, piece].float() - centre).norm(dim=-1)
        spread.append(real(norm, piece).amax(-1, keepdim=True))
    return torch.stack(longest).amax(0), centre, torch.stack(spread).amax(0)


def _units(x: torch.Tensor, fill: float) -> torch.Tensor:
    """(batch, heads, tokens) as (batch, heads, units, UNIT), filled up."""
    return F.pad(x, (0, -x.shape[2] % UNIT), value=fill).reshape(*x.shape[:2], -1, UNIT)


def _near(query: torch.Tensor, key: torch.Tensor, slopes: torch.Tensor, hidden: torch.Tensor | None) -> torch.Tensor:
    """Log of the mass of each query's own unit; (batch, heads, tokens). The queries are scaled already."""
    tokens = query.shape[2]
    pad = (0, 0, 0, -tokens % UNIT)
    queries, keys = (F.pad(x, pad).reshape(*x.shape[:2], -1, UNIT, x.shape[3]) for x in (query, key))
    place = torch.arange(UNIT, device=query.device)
    logits = queries @ keys.mT
    logits -= slopes[:, None, None, None] * (place[:, None] - place).abs()
    if hidden is None:
        hidden = torch.zeros(1, 1, tokens, dtype=torch.bool, device=query.device)
    logits.masked_fill_(_units(hidden, True)[..., None, :], float("-inf"))
    return logits.logsumexp(-1).flatten(2)[:, :, :tokens]
