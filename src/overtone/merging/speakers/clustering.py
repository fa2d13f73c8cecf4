"""Embeddings of windows clustered into voices, in bounded time and memory."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from overtone.merging.speakers.kmeans import Labels, Points, means
from overtone.merging.speakers.spectral import spectral, unit

MIN_WINDOWS = 20
"""Windows, of 0.75 s, below which FunASR finds a single speaker."""
EXACT = 2047
"""Windows up to which FunASR's own method is used, on all of them: 25 minutes of speech."""
SAME_VOICE = 0.78
"""Cosine between two speakers' mean embeddings from which on they are one; FunASR's `merge_thr`."""


WORKING_BYTES = 240 << 20
"""Most bytes that clustering takes while it runs, with the vectors of ten hours: most of it is an eigenvalue problem of
2,047 windows, of which more are never taken (measured with 2,047, 48,000 and 480,000)."""


def cluster(embeddings: Points, speakers: int | None = None) -> npt.NDArray[np.int32]:
    """The voice of each window: labels, int32 (n,), 0 for the first heard, then 1 and so on.

    embeddings: float32 (n, dim), in order of time. speakers: their number, where that is known; fewer are found
    where windows do not separate so many. The same embeddings give the same labels.

    Up to `EXACT` windows it is FunASR's spectral clustering. Beyond them FunASR takes UMAP and HDBSCAN, which draw at
    random, or k-means; here so many windows, evenly spaced, are clustered as ever, and each window gets the voice it is
    nearest to: time and memory beyond the embeddings' own hardly grow any more. A voice that is heard in a few of many
    thousand windows may be missed.
    """
    if len(embeddings) < MIN_WINDOWS:
        return np.zeros(len(embeddings), np.int32)
    if len(embeddings) <= EXACT:
        labels = spectral(embeddings, speakers)
    else:
        some = embeddings[np.linspace(0, len(embeddings) - 1, EXACT).astype(np.intp)]
        labels = _nearest(embeddings, some, spectral(some, speakers))
    if speakers is None:
        labels = merge_same_voices(embeddings, labels)
    return renumbered(labels)


def merge_same_voices(embeddings: Points, labels: Labels, same: float = SAME_VOICE) -> Labels:
    """Labels where the two most alike are one, again and again, until no two are as alike as `same`."""
    labels = np.unique(labels, return_inverse=True)[1].reshape(-1)
    while (count := int(labels.max()) + 1) > 1:
        centres = unit(means(embeddings, labels, count))
        alike = np.triu(centres @ centres.T, 1)
        first, second = np.unravel_index(int(alike.argmax()), alike.shape)
        if alike[first, second] < same:
            break
        labels = np.where(labels == second, first, labels - (labels > second))
    return labels


def renumbered(labels: npt.ArrayLike) -> npt.NDArray[np.int32]:
    """The same labels, int32 (n,), numbered 0, 1 and so on as they first appear."""
    _, first, inverse = np.unique(np.asarray(labels), return_index=True, return_inverse=True)
    rank = np.empty(len(first), np.int32)
    rank[np.argsort(first)] = np.arange(len(first), dtype=np.int32)
    found: npt.NDArray[np.int32] = rank[inverse.reshape(-1)]
    return found


def _nearest(embeddings: Points, some: Points, labels: Labels) -> Labels:
    """For each window the voice, of those that some windows have, whose mean direction is nearest to its own."""
    centres = unit(means(unit(some), labels, int(labels.max()) + 1))
    # Lengths do not matter to which is the nearest.
    found: Labels = (embeddings @ centres.T).argmax(axis=1)
    return found
