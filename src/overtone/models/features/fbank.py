"""Features of recognizers: Kaldi's log-mel filter banks, stacked to a lower rate and normalized.

The steps and their constants are those of Kaldi's `compute-fbank-feats` with dither 0, which FunASR's frontends use:
25 ms frames every 10 ms, none that would reach past the end; their mean taken off; pre-emphasis by 0.97; a window; the
power spectrum of 512 points; triangles between 20 Hz and 8 kHz, evenly spaced on the mel scale; the natural logarithm.
All of it is a few array operations over `_ROWS` frames at a time, five times as fast as a loop over frames in C++.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from overtone.errors import CheckpointError
from overtone.models.config_reader import ConfigReader
from overtone.models.features.cmvn import Cmvn
from overtone.types import SAMPLE_RATE, Samples

Features = npt.NDArray[np.float32]
"""Feature vectors, float32, shape (frames, dim)."""

FRAME = 400
"""Samples of one frame: 25 ms."""
HOP = 160
"""Samples from one frame to the next: 10 ms."""
FULL_SCALE = 32768.0
"""Kaldi's samples are 16-bit numbers, ours are within ±1."""

_POINTS = 512
_LOWEST_HZ, _HIGHEST_HZ = 20.0, SAMPLE_RATE / 2
_EMPHASIS = np.float32(0.97)
_FLOOR = np.finfo(np.float32).eps  # of a filter's energy, before the logarithm
_ROWS = 64
"""Frames worked on at a time, always as many: how a matrix product rounds may depend on its number of rows, and a
frame's features must not depend on what it came with."""

_COSINE: Mapping[str, Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]]] = {
    "hamming": lambda cosine: 0.54 - 0.46 * cosine,
    "hanning": lambda cosine: 0.5 - 0.5 * cosine,
    "povey": lambda cosine: (0.5 - 0.5 * cosine) ** 0.85,
}
"""Kaldi's windows, of a cosine that goes around once from the first to the last sample."""


@dataclass(frozen=True, slots=True)
class FrontendConfig:
    """Configuration of a checkpoint's features.

    - `mels`: filters.
    - `window`: `hamming`, `hanning` or `povey`.
    - `stack`: neighboring frames put into one vector (`lfr_m`).
    - `stride`: frames from one such vector to the next (`lfr_n`).
    - `cmvn_file`: its name in the checkpoint's folder.
    """

    mels: int = 80
    window: str = "hamming"
    stack: int = 1
    stride: int = 1
    cmvn_file: str | None = None

    @classmethod
    def from_config(cls, conf: Mapping[str, Any] | None, name: str) -> FrontendConfig:
        """Read `frontend_conf` of `config.yaml`, None where it has none. CheckpointError, with the checkpoint's name,
        for unknown settings."""
        reader = ConfigReader({} if conf is None else conf, name, "frontend_conf")
        fixed = {"fs": SAMPLE_RATE, "frame_length": 25, "frame_shift": 10, "snip_edges": True, "upsacle_samples": True}
        for key, only in fixed.items():
            reader.only(key, only)
        window = reader.get("window", "hamming")
        if not isinstance(window, str) or window not in _COSINE:
            raise reader.error("window", window, f", none of {', '.join(_COSINE)}.")
        mels, stack, stride = (
            reader.integer(key, default, most=256) for key, default in (("n_mels", 80), ("lfr_m", 1), ("lfr_n", 1))
        )
        cmvn_file = reader.get("cmvn_file")
        if not isinstance(cmvn_file, str | None):
            raise reader.error("cmvn_file", cmvn_file, ", not a file's name.")
        return cls(mels, window, stack, stride, cmvn_file)

    @property
    def dim(self) -> int:
        """Numbers in one feature vector."""
        return self.mels * self.stack

    @property
    def hop(self) -> int:
        """Samples from one feature vector to the next."""
        return HOP * self.stride


class Frontend:
    """Features of waveforms: `frontend(samples)` gives float32 (frames_of(len(samples)), config.dim)."""

    def __init__(self, config: FrontendConfig, cmvn: Cmvn | None = None, *, name: str = "model") -> None:
        if cmvn is not None and len(cmvn.shift) != config.dim:
            raise CheckpointError(
                f"{name}: the normalisation has {len(cmvn.shift)} numbers, but features have {config.dim}."
            )
        self.config = config
        self._cmvn = cmvn

    def __call__(self, samples: Samples) -> Features:
        """Features of a waveform of full scale ±1, float32 (samples,). Under 25 ms there are none."""
        return self.transform(fbank(samples, mels=self.config.mels, window=self.config.window))

    def transform(self, mels: Features) -> Features:
        """The same from the filter banks of a whole waveform, (frames, mels)."""
        features = stack_frames(mels, self.config.stack, self.config.stride)
        if self._cmvn is None:
            return features
        features = features + self._cmvn.shift
        features *= self._cmvn.scale
        return features

    def frames_of(self, samples: int) -> int:
        """Number of feature vectors of so many samples."""
        return -(-frames_of(samples) // self.config.stride)


def frames_of(samples: int) -> int:
    """Number of whole frames in so many samples."""
    return max(0, (samples - FRAME) // HOP + 1)


def fbank(samples: Samples, *, mels: int = 80, window: str = "hamming", scale: float = FULL_SCALE) -> Features:
    """Log-mel filter banks, float32 (frames_of(len(samples)), mels). Each frame depends on its own samples alone.

    - `samples`: float32 (samples,).
    - `scale`: the factor they are multiplied with.
    """
    count = frames_of(len(samples))
    features = np.empty((count, mels), np.float32)
    if not count:
        return features
    frames = np.lib.stride_tricks.sliding_window_view(samples, FRAME)[::HOP]
    shape, filters, factor = _window(window), _filters(mels), np.float32(scale)
    rows = np.zeros((_ROWS, FRAME), np.float32)
    for start in range(0, count, _ROWS):
        some = min(_ROWS, count - start)
        np.multiply(frames[start : start + some], factor, out=rows[:some])
        rows -= rows.mean(axis=1, keepdims=True)
        rows[:, 1:] -= _EMPHASIS * rows[:, :-1]  # NumPy takes the right side from the rows as they were
        rows[:, 0] *= 1 - _EMPHASIS
        rows *= shape
        spectrum = np.fft.rfft(rows, _POINTS, axis=1)[:, : _POINTS // 2]
        power = (spectrum.real**2 + spectrum.imag**2).astype(np.float32, copy=False)
        features[start : start + some] = np.log(np.maximum(filters(power), _FLOOR))[:some]
    return features


@cache
def _window(kind: str) -> npt.NDArray[np.float32]:
    return _COSINE[kind](np.cos(2 * np.pi * np.arange(FRAME) / (FRAME - 1))).astype(np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class _Triangles:
    """Filters that overlap their neighbors by half: each point weighs `rising` in one and the rest in the one before.

    A matrix product would say the same; on so little it wakes the threads of a BLAS, which cost ten times as much.
    """

    first: int
    stop: int
    starts: npt.NDArray[np.intp]
    empty: npt.NDArray[np.bool_]
    rising: npt.NDArray[np.float32]

    def __call__(self, power: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Energies (rows, filters) of power (rows, half of the points)."""
        some = power[:, self.first : self.stop]
        up = some * self.rising
        ups, downs = (np.add.reduceat(part, self.starts, axis=1) for part in (up, some - up))
        ups[:, self.empty] = downs[:, self.empty] = 0
        found: npt.NDArray[np.float32] = ups[:, :-1] + downs[:, 1:]
        return found


@cache
def _filters(mels: int) -> _Triangles:
    """Triangles on the mel scale; Kaldi leaves the last point out."""
    # Hertz to mel is 1127 ln(1 + hz / 700).
    lowest, highest = 1127 * np.log1p(np.array([_LOWEST_HZ, _HIGHEST_HZ]) / 700)
    step = (highest - lowest) / (mels + 1)
    points = (1127 * np.log1p(np.arange(_POINTS // 2) * (SAMPLE_RATE / _POINTS / 700)) - lowest) / step
    # Each point lies in one of the stretches between the filters' edges.
    bounds = np.searchsorted(points, np.arange(mels + 2))
    first, stop = int(bounds[0]), int(bounds[-1])
    rising = (points[first:stop] % 1).astype(np.float32)
    return _Triangles(first, stop, np.minimum(bounds[:-1], stop - 1) - first, np.diff(bounds) == 0, rising)


def stack_frames(mels: Features, stack: int, stride: int) -> Features:
    """Every `stride`-th frame with its neighbors, float32 (ceil(frames / stride), stack * mels).

    The first frame stands for those before it and the last for those after it.
    """
    if stack == stride == 1 or not len(mels):
        return mels.reshape(-1, stack * mels.shape[1])
    places = np.arange(0, len(mels), stride)[:, None] + np.arange(stack) - (stack - 1) // 2
    vectors: Features = mels[np.clip(places, 0, len(mels) - 1)].reshape(len(places), -1)
    return vectors


class FbankStream:
    """Filter banks of a waveform that comes piece by piece: bit for bit those of the whole, however it is cut.

    Holds less than one frame of samples between calls.
    """

    def __init__(self, *, mels: int = 80, window: str = "hamming", scale: float = FULL_SCALE) -> None:
        self._mels, self._window, self._scale = mels, window, scale
        self._rest = np.empty(0, np.float32)

    def push(self, samples: Samples) -> Features:
        """Take in float32 (samples,); return the frames that they complete, float32 (new frames, mels)."""
        samples = np.concatenate([self._rest, samples]) if len(self._rest) else samples
        self._rest = samples[frames_of(len(samples)) * HOP :].copy()
        return fbank(samples, mels=self._mels, window=self._window, scale=self._scale)


def padded(features: Sequence[Features], step: int = 1) -> tuple[Features, npt.NDArray[np.int64]]:
    """Pad several items to one array, float32 (items, padded frames, dim), and their frames, int64 (items,).

    - `features`: each (frames, dim).
    - `step`: the padded number of frames is a multiple of it, which bounds the number of shapes that a network meets.
    """
    counts = np.array([len(item) for item in features], np.int64)
    longest = max(1, -(-int(counts.max()) // step)) * step
    batch = np.zeros((len(features), longest, features[0].shape[1]), np.float32)
    for row, item in zip(batch, features, strict=True):
        row[: len(item)] = item
    return batch, counts
