"""Waveform peaks for plots: the lowest and highest sample of each stretch."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from overtone.types import SAMPLE_RATE, Samples

_ENVELOPE_ROWS = 1 << 14
"""Rows of a whole envelope: several for each pixel of any picture, and the same for ten hours as for five minutes."""


class Envelope:
    """Waveform peaks, streamed: of every 20 ms, of every 40 ms where the audio gets long, and so on."""

    def __init__(self) -> None:
        self._width = SAMPLE_RATE // 50
        self._rows = np.zeros((_ENVELOPE_ROWS, 2), np.float32)
        self._count = 0
        self._left = np.zeros(0, np.float32)

    def push(self, block: Samples) -> None:
        """Add samples."""
        samples = np.concatenate([self._left, block])
        while len(samples) >= self._width:
            if self._count == _ENVELOPE_ROWS:
                self._halve()
            windows = samples[: (_ENVELOPE_ROWS - self._count) * self._width]
            windows = windows[: len(windows) // self._width * self._width].reshape(-1, self._width)
            rows = self._rows[self._count : self._count + len(windows)]
            rows[:, 0], rows[:, 1] = windows.min(axis=1), windows.max(axis=1)
            self._count += len(windows)
            samples = samples[windows.size :]
        self._left = samples.copy()

    def _halve(self) -> None:
        pairs = self._rows.reshape(-1, 2, 2)
        half = _ENVELOPE_ROWS // 2
        self._rows[:half, 0], self._rows[:half, 1] = pairs[:, :, 0].min(axis=1), pairs[:, :, 1].max(axis=1)
        self._count, self._width = half, 2 * self._width

    def rows(self) -> npt.NDArray[np.float32]:
        """The peaks so far, (n, 2), n at most `_ENVELOPE_ROWS`."""
        rows: npt.NDArray[np.float32] = self._rows[: self._count].copy()
        return rows
