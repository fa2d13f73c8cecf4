"""CTC's paths: tokens, and their times, from frames that each name a token or a blank."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

BLANK = 0
"""The token that says nothing."""

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]


def runs(best: Ints) -> tuple[Ints, Ints, Ints]:
    """Stretches of one token, blanks left out: its id, its first frame and the one after its last, each (runs,).

    best: int64 (frames,), the token of each frame.
    """
    edges = np.flatnonzero(np.diff(best)) + 1
    starts = np.concatenate([[0], edges]) if len(best) else edges
    stops = np.concatenate([edges, [len(best)]]) if len(best) else edges
    spoken = best[starts] != BLANK
    return best[starts][spoken], starts[spoken], stops[spoken]


def align(tokens: Ints, chances: Floats, blanks: Floats) -> tuple[Ints, Ints] | None:
    """The most likely frames of tokens that are known: first, and one after last, of each, int64 (tokens,).

    tokens: int64 (L,), at least one. chances: float32 (frames, L), log-probability of each at every frame. blanks:
    float32 (frames,), that of a blank. None where there are too few frames for them. Viterbi's algorithm over tokens
    with a blank between, before and after; of equally likely ways it takes those that stay longest.
    """
    frames, count = chances.shape
    states = 2 * count + 1
    emitted = np.repeat(blanks[:, None], states, axis=1)
    emitted[:, 1::2] = chances
    # A blank may be left out between two tokens that differ.
    skips = np.zeros(states, bool)
    skips[3::2] = tokens[1:] != tokens[:-1]
    never = np.float32(-np.inf)
    ways = np.full((3, states), never)
    score = np.full(states, never)
    score[:2] = emitted[0, :2]
    steps = np.zeros((frames, states), np.int8)
    for frame in range(1, frames):
        ways[0] = score
        ways[1, 1:] = score[:-1]
        ways[2, 2:] = np.where(skips[2:], score[:-2], never)
        steps[frame] = ways.argmax(axis=0)
        score = ways.max(axis=0) + emitted[frame]
    if frames == 0 or np.isneginf(score[-2:]).all():
        return None
    path = np.empty(frames, np.int64)
    path[-1] = states - 2 + int(score[-2:].argmax())
    for frame in range(frames - 1, 0, -1):
        path[frame - 1] = path[frame] - steps[frame, path[frame]]
    # States never go back, and no token's own is passed over.
    own = 2 * np.arange(count) + 1
    return np.searchsorted(path, own, side="left"), np.searchsorted(path, own, side="right")
