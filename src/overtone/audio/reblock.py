"""Re-blocking: arrays of any length in, arrays of one length out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from overtone.types import Samples


def reblocked(arrays: Iterable[Samples], size: int) -> Iterator[Samples]:
    """Yield `arrays`, each (channels, n), as (channels, size), the last one shorter. Empty ones are left out."""
    parts: list[Samples] = []
    held = 0
    for array in arrays:
        if not array.shape[1]:
            continue
        parts.append(array)
        held += array.shape[1]
        if held < size:
            continue
        joined = np.concatenate(parts, axis=1)
        full = held - held % size
        parts, held = [joined[:, full:].copy()], held - full
        for start in range(0, full, size):
            yield np.ascontiguousarray(joined[:, start : start + size])
    if held:
        yield np.concatenate(parts, axis=1)
