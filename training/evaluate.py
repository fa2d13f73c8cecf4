"""Figures of merit, and the temperature that makes scores mean what they say."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from training.data import LETTERS

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def confusion(truth: Ints, guess: Ints) -> Ints:
    """(classes, classes): rows are the acted classes, columns the recognized ones."""
    table = np.zeros((len(LETTERS), len(LETTERS)), dtype=np.int64)
    np.add.at(table, (truth, guess), 1)
    return table


def recalls(truth: Ints, guess: Ints) -> Floats:
    """Recall of every class, NaN for a class that does not occur."""
    table = confusion(truth, guess)
    counts = table.sum(axis=1)
    return np.where(counts > 0, np.diag(table) / np.maximum(counts, 1), np.nan)


def average_recall(truth: Ints, guess: Ints) -> float:
    """Unweighted average recall (UAR) over the classes that occur."""
    return float(np.nanmean(recalls(truth, guess)))


def calibration_error(logits: Floats, truth: Ints, bins: int = 10) -> float:
    """Expected calibration error: the mean gap between confidence and accuracy over equal bins of confidence."""
    scores = softmax(logits)
    confidence, right = scores.max(axis=1), scores.argmax(axis=1) == truth
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = [
        abs(confidence[place == b].mean() - right[place == b].mean()) * (place == b).mean()
        for b in range(bins)
        if (place == b).any()
    ]
    return float(sum(gaps))


def cross_entropy(logits: Floats, truth: Ints) -> float:
    """Mean negative log-probability of the truth, nats."""
    return float(F.cross_entropy(torch.from_numpy(logits), torch.from_numpy(truth)))


def fit_temperature(logits: Floats, truth: Ints) -> float:
    """The number to divide logits by for the least cross-entropy, by golden-section search on its logarithm."""

    def loss(log_temperature: float) -> float:
        return cross_entropy(logits / np.exp(log_temperature), truth)

    low, high, ratio = -2.0, 2.0, (5**0.5 - 1) / 2
    while high - low > 1e-4:
        one, two = high - ratio * (high - low), low + ratio * (high - low)
        if loss(one) < loss(two):
            high = two
        else:
            low = one
    return float(np.exp((low + high) / 2))


def softmax(logits: Floats) -> Floats:
    """Scores of every row."""
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=1, keepdims=True))
