"""FFmpeg's audio frames as arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from av.audio.frame import AudioFrame

from overtone.audio.sample_converter import SampleConverter
from overtone.audio.source import float32
from overtone.types import Samples

_SCALES: dict[str, tuple[str, float, float]] = {  # FFmpeg's sample formats: dtype, zero, full scale
    "u8": ("u1", 128.0, 2.0**7),
    "s16": ("i2", 0.0, 2.0**15),
    "s32": ("i4", 0.0, 2.0**31),
    "s64": ("i8", 0.0, 2.0**63),
    "flt": ("f4", 0.0, 1.0),
    "dbl": ("f8", 0.0, 1.0),
}

_MAX_PLANES = 7
"""PyAV counts the planes of a planar frame up to a null pointer, which lies past the end of the list where there are 8
channels or more: with 8 it finds one too many, which PyAV 19 then refuses. Packed frames always have one plane."""


def to_float(frame: AudioFrame) -> Samples:
    """One decoded frame as float32, (channels, n), full scale ±1. 16-bit samples are exact."""
    channels = frame.layout.nb_channels
    if frame.format.is_planar and channels > _MAX_PLANES:
        frame = _packed(frame)
    dtype, zero, full_scale = _SCALES[frame.format.name.removesuffix("p")]
    if frame.format.is_planar:
        samples = float32(np.stack([_from_plane(plane, dtype, frame.samples) for plane in frame.planes[:channels]]))
    else:
        samples = float32(packed_array(frame, dtype))
    if zero:
        samples -= np.float32(zero)
    if full_scale != 1:
        samples *= np.float32(1 / full_scale)
    return samples


def packed_array(frame: AudioFrame, dtype: str) -> npt.NDArray[Any]:
    """The samples of a packed frame, (channels, n), as they lie in it."""
    channels = frame.layout.nb_channels
    flat = _from_plane(frame.planes[0], dtype, frame.samples * channels)
    samples: npt.NDArray[Any] = flat.reshape(-1, channels).transpose()
    return samples


def _from_plane(plane: Any, dtype: str, count: int) -> npt.NDArray[Any]:
    return np.frombuffer(plane, dtype, count)  # a plane is padded at its end


def _packed(frame: AudioFrame) -> AudioFrame:
    packed = frame.format.packed.name
    converter = SampleConverter(frame.layout.name, frame.sample_rate, frame.format.name, packed)
    return converter.push(frame)[0]
