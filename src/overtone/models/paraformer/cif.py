"""Continuous integrate-and-fire: frames to tokens (Dong and Xu, 2020, arXiv:1905.11235).

Each frame holds some share of a token. Shares are added up from the first frame on, and whenever the sum passes a whole
number a token is complete: its embedding is the sum of its frames, each times the share of it that went into it. The
frame at which one ends and the next begins is divided between the two.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]


def token_counts(alphas: Floats, *, tail: bool = True) -> npt.NDArray[np.int64]:
    """Number of tokens in each row, int64 (batch,).

    alphas: shares, float32 (batch, frames), 0 past a row's end. tail: whether something was added past the last frame,
    so that the rest is no token; otherwise it is one from a half on.
    """
    total = alphas.sum(axis=1, dtype=np.float64).astype(np.float32)
    counts: npt.NDArray[np.int64] = (np.floor(total) if tail else np.rint(total)).astype(np.int64)
    return counts


def embeddings(hidden: Floats, alphas: Floats, counts: npt.NDArray[np.int64], *, step: int = 1) -> Floats:
    """Acoustic embeddings of all tokens, float32 (batch, tokens, dim), zeros past a row's last.

    hidden: frames, float32 (batch, frames, dim). alphas: their shares, float32 (batch, frames or one more): the
    share past the last frame counts, and adds nothing. counts: as `token_counts` says. step: tokens are padded to a
    multiple."""
    batch, frames, dim = hidden.shape
    longest = max(1, -(-int(counts.max()) // step)) * step
    tokens = np.zeros((batch, longest, dim), np.float32)
    # Sums in double precision, as one frame's rounding would otherwise move all tokens after it.
    sums = np.cumsum(alphas, axis=1, dtype=np.float64).astype(np.float32)
    whole = np.floor(sums)
    fired = np.diff(whole, axis=1, prepend=np.float32(0)) > 0
    for row in range(batch):
        ends = np.flatnonzero(fired[row])[: counts[row]]
        if len(ends):
            left = sums[row, ends] - whole[row, ends]
            tokens[row, : len(ends)] = _row(hidden[row], alphas[row, :frames], ends, left)
    return tokens


def _row(hidden: Floats, alphas: Floats, ends: npt.NDArray[np.int64], left: Floats) -> Floats:
    """Embeddings of the tokens that end at these frames. left: the share of each end that goes to the next token."""
    inside = min(int(ends[-1]) + 1, len(hidden))
    weighted = hidden[:inside] * alphas[:inside, None]
    starts = np.concatenate([[0], ends[:-1] + 1])
    full = starts < inside  # the last token may be all tail
    sums = np.zeros((len(ends), hidden.shape[1]), np.float32)
    sums[full] = np.add.reduceat(weighted, starts[full], axis=0)
    past = np.minimum(ends, len(hidden) - 1)
    over = hidden[past] * np.where(ends < len(hidden), left, 0)[:, None]
    sums -= over
    sums[1:] += over[:-1]
    return sums
