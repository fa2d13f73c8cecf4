"""Arrays of samples as NumPy has them, and their numbers as float32 at full scale ±1."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from overtone.audio.source import float32
from overtone.errors import Code, InputError
from overtone.types import Samples

_PCM = ("int8", "int16", "int32", "uint8")
"""Integers that files and libraries hold samples in; wider ones are sums, or what Python's numbers became."""

_REMEDY = "pass float samples at full scale ±1, or PCM as int16, int32 or uint8"


def sample_array(samples: object, name: str) -> npt.NDArray[Any]:
    """The samples of the source `name` as a NumPy array, without a copy where there is one already.

    InputError (bad_samples) for anything but an array of such numbers.
    """
    if not isinstance(samples, np.ndarray):
        samples = _from_other_library(samples, name)
    if not np.issubdtype(samples.dtype, np.floating) and samples.dtype.name not in _PCM:
        raise InputError(f"{name}: {samples.dtype} samples; {_REMEDY}", code=Code.BAD_SAMPLES)
    return samples


def _from_other_library(samples: object, name: str) -> npt.NDArray[Any]:
    kind = type(samples).__name__
    if isinstance(samples, np.generic) or not hasattr(samples, "__array__"):
        raise InputError(f"{name}: {kind} is no NumPy array; {_REMEDY}", code=Code.BAD_SAMPLES)
    try:
        return np.asarray(samples)
    except (TypeError, ValueError, RuntimeError) as error:  # on a GPU, part of a graph, or of a type NumPy lacks
        text = f"{name}: NumPy cannot take this {kind} ({error}); pass tensor.detach().cpu().float()"
        raise InputError(text, code=Code.BAD_SAMPLES) from None


def pcm_float32(samples: npt.NDArray[Any]) -> Samples:
    """A copy as float32 at full scale ±1: floats as they are, integers by the range of their type."""
    if samples.dtype.kind not in "iu":
        return float32(samples)
    half_range = 1 << (8 * samples.dtype.itemsize - 1)
    zero = half_range if samples.dtype.kind == "u" else 0
    # In float64, which holds every int32.
    return float32((samples.astype(np.float64) - zero) / half_range)


def mono_samples(samples: object, name: str) -> Samples:
    """Samples of one channel as float32 (samples,); the array itself if it is that already.

    InputError (bad_samples) for anything else than one dimension of numbers.
    """
    array = sample_array(samples, name)
    if array.ndim != 1:
        text = f"{name}: shape {array.shape}; one channel is taken, shape (samples,), such as samples[:, 0]"
        raise InputError(text, code=Code.BAD_SAMPLES)
    return array if array.dtype == np.float32 else pcm_float32(array)
