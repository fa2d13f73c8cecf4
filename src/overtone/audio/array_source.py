"""`ArraySource`: an `Audio` as a source."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from overtone.audio.source import MAX_CHANNELS, MAX_PIECE, Chunk, checked_channels, checked_rate, float32
from overtone.errors import Code, InputError
from overtone.types import Audio

_REMEDY = "pass float samples at full scale ±1, shape (samples,) or (channels, samples)"


class ArraySource:
    """An array in memory as a source: slices of it, never a copy of the whole."""

    def __init__(self, audio: Audio, name: str) -> None:
        self._samples = _checked_samples(audio.samples, name)
        self.rate = checked_rate(audio.rate, name)
        self.channels, length = self._samples.shape
        self.codec, self.container = str(self._samples.dtype), "array"
        self.claimed_s: float | None = length / self.rate
        self.exact = False  # nothing is cut short, so there is nothing to compare
        self.warnings: list[str] = []

    def chunks(self) -> Iterator[Chunk]:
        """The array, `MAX_PIECE` samples at a time."""
        for start in range(0, self._samples.shape[1], MAX_PIECE):
            yield self.rate, float32(self._samples[:, start : start + MAX_PIECE])

    def close(self) -> None:
        """Do nothing: an array holds nothing open."""


def _checked_samples(samples: object, name: str) -> npt.NDArray[np.floating[Any]]:
    """`samples` as (channels, n); `InputError` if they are no audio."""
    if not isinstance(samples, np.ndarray):
        raise InputError(f"{name}: {type(samples).__name__} is no numpy array; {_REMEDY}", code=Code.BAD_SAMPLES)
    if np.issubdtype(samples.dtype, np.integer):
        signed = samples.dtype.kind == "i"
        full_scale = (int(np.iinfo(samples.dtype).max) + 1) // (1 if signed else 2)
        zero = "" if signed else f"subtract {full_scale}, "
        text = f"{name}: {samples.dtype} samples; {zero}divide by {full_scale} and pass float32"
        raise InputError(text, code=Code.BAD_SAMPLES)
    if not np.issubdtype(samples.dtype, np.floating):
        raise InputError(f"{name}: {samples.dtype} samples; {_REMEDY}", code=Code.BAD_SAMPLES)
    if samples.ndim not in (1, 2):
        raise InputError(f"{name}: {samples.ndim} dimensions; {_REMEDY}", code=Code.BAD_SAMPLES)
    if samples.size == 0:
        raise InputError(f"{name}: the array is empty; {_REMEDY}", code=Code.EMPTY)
    rows = np.atleast_2d(samples)
    if len(rows) > MAX_CHANNELS >= rows.shape[1]:
        text = f"{name}: shape {samples.shape} looks like (samples, channels); pass samples.T"
        raise InputError(text, code=Code.BAD_SAMPLES)
    checked_channels(len(rows), name)
    return rows
