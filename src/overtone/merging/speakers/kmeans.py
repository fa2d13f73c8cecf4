"""k-means, the same on every run."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

_STARTS = 10
"""Tries from other centres, of which the closest fit is taken."""
_ROUNDS = 300

Points = npt.NDArray[np.float32]
Labels = npt.NDArray[np.intp]


def kmeans(points: Points, count: int) -> Labels:
    """Label, 0 to less than `count`, of each point, (n,), of points (n, dim).

    Centres start spread out (k-means++, Arthur and Vassilvitskii 2007, each the best of a few drawn). Fewer labels than
    asked for where points coincide. Time grows with n × count × dim, memory with n × count.
    """
    if count <= 1:
        return np.zeros(len(points), np.intp)
    random = np.random.default_rng(0)
    best, best_error = np.zeros(len(points), np.intp), math.inf
    for _ in range(_STARTS):
        labels, error = _settle(points, _spread(points, min(count, len(points)), random))
        if error < best_error:
            best, best_error = labels, error
    return np.unique(best, return_inverse=True)[1].reshape(-1)


def means(points: Points, labels: Labels, count: int) -> Points:
    """Mean of the points of each label, (count, dim); 0 where there are none."""
    belongs = (labels == np.arange(count)[:, None]).astype(points.dtype)
    found: Points = belongs @ points / np.maximum(belongs.sum(axis=1, keepdims=True), 1)
    return found


def _settle(points: Points, centres: Points) -> tuple[Labels, float]:
    """Labels by the nearest centre, and the sum of squared distances, once nothing changes any more."""
    labels = np.full(len(points), -1, np.intp)
    error = math.inf
    for _ in range(_ROUNDS):
        distances = _squared(points, centres)
        nearest = distances.argmin(axis=1)
        error = float(distances[np.arange(len(points)), nearest].sum(dtype=np.float64))
        if np.array_equal(nearest, labels):
            break
        labels = nearest
        used = np.bincount(labels, minlength=len(centres)) > 0
        centres = np.where(used[:, None], means(points, labels, len(centres)), centres)
    return labels, error


def _spread(points: Points, count: int, random: np.random.Generator) -> Points:
    """Starting centres: each drawn by its squared distance from those before."""
    chosen = [int(random.integers(len(points)))]
    nearest = _squared(points, points[chosen])[:, 0]
    tries = 2 + int(math.log(count))
    while len(chosen) < count:
        steps = np.cumsum(nearest, dtype=np.float64)
        drawn = np.minimum(np.searchsorted(steps, random.random(tries) * steps[-1]), len(points) - 1)
        left = np.minimum(_squared(points, points[drawn]), nearest[:, None])
        one = int(left.sum(axis=0).argmin())
        chosen.append(int(drawn[one]))
        nearest = left[:, one]
    return points[chosen]


def _squared(points: Points, centres: Points) -> Points:
    """Squared distances, (n, centres)."""
    own = np.einsum("nd,nd->n", points, points)[:, None]
    found: Points = np.maximum(own - 2 * (points @ centres.T) + np.einsum("cd,cd->c", centres, centres), 0)
    return found
