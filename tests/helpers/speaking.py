"""Windows of people who take turns, as embeddings, and who it was."""

from __future__ import annotations

import numpy as np

DIM = 192


def speaking(windows: int, speakers: int, *, seed: int, noise: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Embeddings, float32 (windows, DIM), and the speaker of each, int (windows,). All are heard, if there is time.

    Voices resemble each other a little (a cosine of some 0.15); windows overlap by half, so neighbours share
    noise; where speakers change, a window has something of both. noise: its length beside a voice's 1.
    """
    random = np.random.default_rng(seed)
    voices = random.standard_normal((speakers, DIM)) * np.sqrt(0.85) + random.standard_normal(DIM) * np.sqrt(0.15)
    voices /= np.linalg.norm(voices, axis=1, keepdims=True)
    share = random.dirichlet(np.full(speakers, 3.0)) + 0.5 / speakers
    turns = np.concatenate((np.arange(speakers), random.choice(speakers, windows, p=share / share.sum())))
    truth = np.repeat(turns, 1 + random.geometric(1 / 6, len(turns)))[:windows]
    drawn = random.standard_normal((windows + 1, DIM)).astype(np.float32) * np.float32(noise / np.sqrt(DIM))
    heard = voices[truth].astype(np.float32)
    change = np.flatnonzero(np.diff(truth))
    weight = random.uniform(0.5, 1, (len(change), 1)).astype(np.float32)
    heard[change] = weight * heard[change] + (1 - weight) * heard[change + 1]
    heard += (drawn[1:] + drawn[:-1]) / np.float32(np.sqrt(2))
    return heard * random.uniform(5, 12, (windows, 1)).astype(np.float32), truth


def shares_right(labels: np.ndarray, truth: np.ndarray) -> float:
    """Share of windows that are right, with labels matched to speakers as well as can be, each to one."""
    from scipy.optimize import linear_sum_assignment

    both = np.zeros((labels.max() + 1, truth.max() + 1))
    np.add.at(both, (labels, truth), 1)
    rows, columns = linear_sum_assignment(-both)
    return float(both[rows, columns].sum() / len(truth))
