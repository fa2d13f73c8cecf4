"""Levels of audio without its mean, which a microphone may add and which is no sound."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from overtone.segmentation.voiced_frames import FRAME
from overtone.types import Samples

SILENCE_DBFS = -60.0
"""A segment whose level never reaches this (RMS of any 20 ms, full scale 0 dB) is silence. Speech recorded at all is
tens of decibels above; the noise of 16-bit silence is at -98."""

_SILENCE = 10.0 ** (SILENCE_DBFS / 10)

_WINDOW = 320
"""Samples (20 ms)."""

_WINDOWS_AT_ONCE = 512
"""Windows (10 s) that are copied to take their mean off; a file that runs whole is not to be held twice."""


def is_silent(samples: Samples) -> bool:
    """True if the level never reaches `SILENCE_DBFS`."""
    if len(samples) < _WINDOW:
        return bool(samples.var() < _SILENCE)
    windows = samples[: len(samples) // _WINDOW * _WINDOW].reshape(-1, _WINDOW)
    parts = (windows[at : at + _WINDOWS_AT_ONCE] for at in range(0, len(windows), _WINDOWS_AT_ONCE))
    return all(float(part.var(axis=1).max()) < _SILENCE for part in parts)


def frame_levels(samples: Samples) -> Iterator[float]:
    """Mean square of each frame of `FRAME` samples; the last may be shorter."""
    whole = len(samples) // FRAME * FRAME
    yield from samples[:whole].reshape(-1, FRAME).var(axis=1).tolist()
    if whole < len(samples):
        yield float(samples[whole:].var())


class LevelStream:
    """1 for each frame of one stream that reaches `SILENCE_DBFS`, else 0: where no speech detector is wanted."""

    def __init__(self) -> None:
        self._pending = np.zeros(0, np.float32)

    def push(self, samples: Samples) -> npt.NDArray[np.float32]:
        """Add samples; get the values of the frames that are now complete, float32 (frames,)."""
        samples = np.concatenate([self._pending, samples])
        whole = len(samples) // FRAME * FRAME
        self._pending = samples[whole:].copy()
        return _reached(samples[:whole])

    def finish(self) -> npt.NDArray[np.float32]:
        """The value of the last frame, which is part of one."""
        left, self._pending = self._pending, np.zeros(0, np.float32)
        return _reached(left)


def _reached(samples: Samples) -> npt.NDArray[np.float32]:
    return np.array([level >= _SILENCE for level in frame_levels(samples)], np.float32)
