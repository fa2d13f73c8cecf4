"""Keys and values of the frames that a stream remembers, as the graphs of a streaming Paraformer take them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from overtone.errors import UsageError
from overtone.models.paraformer.chunking import MOST_FRAMES
from overtone.models.task import Array

_FRAMES = 3
"""The axis of frames."""
_STEP = 100
"""Frames by which a memory without a limit grows, so that it has few shapes."""


class ChunkMemory:
    """The last frames of a stream. Its arrays have one size while the limit holds, of which the end is filled.

    - `shape`: of keys and of values, float32 (layers, batch, heads, frames, size), the batch and the frames as -1.
    - `limit`: frames that are remembered; 0 for none. Below 0 all are, up to a minute.
    - `first`: frames that the first chunk may have, which is remembered whole; None where it is like any other.
    """

    def __init__(self, shape: Sequence[int], limit: int, *, first: int | None = None) -> None:
        self._shape = shape
        self._limit = limit
        self._first_is_whole = first is not None
        # A graph is never given an empty memory, which runtimes are not made for; nothing of this one is filled.
        self._places = max(limit, first or 0) if limit > 0 else 1
        self._kept = 0
        self._keys, self._values = self._empty(), self._empty()

    @property
    def inputs(self) -> Mapping[str, Array]:
        """Inputs of a graph by name: `keys`, `values`, and how many of their last frames are filled, `kept`."""
        return {"keys": self._keys, "values": self._values, "kept": np.array([self._kept], np.int64)}

    def add(self, keys: Array, values: Array) -> None:
        """Remember further frames. UsageError where all are remembered, and these are too many."""
        if not self._limit:
            return
        kept = self._kept + keys.shape[_FRAMES]
        if self._limit > 0 and (self._kept or not self._first_is_whole):
            kept = min(kept, self._limit)
        if self._limit < 0 and kept > MOST_FRAMES:
            raise UsageError(
                f"a stream that looks back at everything has {MOST_FRAMES:,} frames of 60 ms at most; end it with "
                "is_final=True, or look back at a number of chunks."
            )
        if kept > self._places:
            self._places = -(-kept // _STEP) * _STEP
        self._keys, self._values = (
            self._filled(before, new, kept) for before, new in ((self._keys, keys), (self._values, values))
        )
        self._kept = kept

    def _filled(self, before: Array, new: Array, kept: int) -> Array:
        held = np.concatenate([before[:, :, :, before.shape[_FRAMES] - self._kept :], new], axis=_FRAMES)
        made = self._empty()
        if kept:
            made[:, :, :, -kept:] = held[:, :, :, -kept:]
        return made

    def _empty(self) -> npt.NDArray[np.float32]:
        return np.zeros(
            [size if size > 0 else (self._places if axis == _FRAMES else 1) for axis, size in enumerate(self._shape)],
            np.float32,
        )
