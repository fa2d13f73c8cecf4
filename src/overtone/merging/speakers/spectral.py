"""Spectral clustering of embeddings: voices are separated, and counted, by their resemblance.

As FunASR does it: cosine similarities, of which each window keeps the largest few; the Laplacian of that graph, not
normalized; as many voices as there are eigenvalues before the widest gap; k-means on their eigenvectors.
"""

from __future__ import annotations

import numpy as np

from overtone.merging.speakers.kmeans import Labels, Points, kmeans

MAX_SPEAKERS = 15
"""Voices found by the gap, at most."""
_KEPT = 0.022
"""Share of the windows that each is tied to."""
_MIN_KEPT = 6
"""Fewest windows that each is tied to."""


def spectral(embeddings: Points, speakers: int | None = None) -> Labels:
    """Label of each of (n, dim) embeddings, (n,), for 16 of them or more; `speakers` where their number is known.

    Time grows with n³ (2 s for 2047 on one core), memory with n² (45 bytes for each pair, most of them LAPACK's).
    """
    laplacian = _laplacian(embeddings)
    values, vectors = np.linalg.eigh(laplacian)
    if speakers is None:
        speakers = int(np.argmax(np.diff(values[: MAX_SPEAKERS + 1]))) + 1
    return kmeans(np.ascontiguousarray(vectors[:, :speakers]), speakers)


def unit(embeddings: Points) -> Points:
    """The same directions with a length of 1; 0 stays 0."""
    lengths = np.linalg.norm(embeddings, axis=1, keepdims=True)
    found: Points = embeddings / np.where(lengths > 0, lengths, np.float32(1))
    return found


def _laplacian(embeddings: Points) -> Points:
    """Degrees less ties, (n, n)."""
    directions = unit(embeddings)
    ties: Points = directions @ directions.T
    count = len(ties)
    share = _MIN_KEPT / count if count * _KEPT < _MIN_KEPT else _KEPT
    dropped = int((1 - share) * count)
    for row in ties:  # a row at a time, for memory
        row[np.argpartition(row, dropped)[:dropped]] = 0
    ties += ties.T  # NumPy sees that they overlap
    ties *= 0.5
    np.fill_diagonal(ties, 0)
    degrees = np.array([np.abs(row).sum() for row in ties])
    np.negative(ties, out=ties)
    np.fill_diagonal(ties, degrees)
    return ties
