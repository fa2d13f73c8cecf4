"""`SincKernel`: the weights of a windowed sinc from one rate to 16 kHz, those of torchaudio's `Resample`."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
import numpy.typing as npt

from overtone.types import SAMPLE_RATE, Samples

ZERO_CROSSINGS = 6
"""Zeros of the sinc on each side that the window leaves: torchaudio's `lowpass_filter_width`."""

ROLL_OFF = 0.99
"""Cut-off frequency, of half the lower rate: torchaudio's `rolloff`."""

MOST_OUTPUTS = 400
"""Most outputs in one frame, 25 ms: a live stream waits for a whole frame."""

_ROWS = 8
"""Frames in one product where all have the same weights."""

_KEPT_BYTES = 1 << 20
"""Most that the weights of one kernel may hold. Beyond it, they are evaluated anew for every frame."""

_KEPT_KERNELS = 4
"""Kernels that are kept for the next file at their rate, the latest ones."""


@functools.lru_cache(_KEPT_KERNELS)
def kernel_from(rate: int) -> SincKernel:
    """The kernel from a rate in Hz, the same one for several streams. Thread-safe."""
    return SincKernel(rate)


class SincKernel:
    r"""The weights from `rate` to 16 kHz, tile by tile.

    With both rates divided by their greatest common divisor to :math:`r` and :math:`s`, output :math:`j` is
    :math:`\sum_i x_i h(i/r - j/s)`, where :math:`h(t) = (c / r) \operatorname{sinc}(ct) \cos^2(\pi ct / 12)` for
    :math:`|ct| < 6`, else 0, and :math:`c = 0.99 \min(r, s)`: the formula of torchaudio's
    `functional.resample`, from exact integers, where torchaudio rounds :math:`j/s` to float32.

    A *tile* is a few outputs and the `window` inputs that reach any of them. Weights repeat after some tiles; a
    *frame* is all of those, or their largest whole part that is at most 25 ms long. Weights are kept, in 1 MiB at
    most. Where all of them would take more (odd rates, such as 44,099 Hz, where they repeat after a second), each
    frame's are evaluated when it comes: at 768 kHz 15 million for a second of audio. Evaluating a frame takes 10 MiB
    at most.

    Attributes
    ----------
    tile
        Outputs of a tile: so few that no product of windows and weights is large enough for OpenBLAS to use threads.
    frame_tiles
        Tiles in a frame.
    kinds
        Frames after which the weights repeat.
    rows
        Frames that one product is of: more than one only where all frames have the same weights.
    window
        Inputs in the window of a tile.
    """

    def __init__(self, rate: int) -> None:
        divisor = math.gcd(rate, SAMPLE_RATE)
        self._before, self._after = rate // divisor, SAMPLE_RATE // divisor
        # Distances between inputs and outputs are integers in units of 1 / (r s).
        self._reach = math.ceil(ZERO_CROSSINGS * max(self._before, self._after) / ROLL_OFF)
        self.tile, self.rows = 16, _ROWS
        if math.lcm(self._after, self.tile) > MOST_OUTPUTS:
            self.tile, self.rows = 8, 1
        self.window = ((self.tile - 1) * self._before + 2 * self._reach) // self._after + 2
        tiles = self._after // math.gcd(self._after, self.tile)
        most = MOST_OUTPUTS // self.tile
        self.frame_tiles = max(part for part in range(1, most + 1) if tiles % part == 0)
        self.kinds = tiles // self.frame_tiles
        self._keeps = tiles * self.window * self.tile * 4 <= _KEPT_BYTES
        self._kept: dict[int, Samples] = {}

    def outputs(self, inputs: int) -> int:
        """Samples at 16 kHz of so many at the kernel's rate, rounded up."""
        return -(-inputs * self._after // self._before)

    def start(self, tile: int) -> int:
        """The first input in the window of a tile; below 0 at the start of a stream."""
        return (self.tile * tile * self._before - self._reach) // self._after

    def starts(self, tile: int, count: int) -> npt.NDArray[np.int64]:
        """`start` of so many tiles from `tile` on."""
        return (self.tile * np.arange(tile, tile + count) * self._before - self._reach) // self._after

    def whole_tiles(self, inputs: int) -> int:
        """Tiles, from the first on, whose windows lie within the first `inputs` inputs."""
        return max(0, -(-((inputs - self.window + 1) * self._after + self._reach) // (self.tile * self._before)))

    def weights(self, frame: int) -> Samples:
        """The weights of a frame, float32, (frame_tiles, window, tile)."""
        kind = frame % self.kinds
        if kind in self._kept:
            return self._kept[kind]
        weights = self._evaluated(kind * self.frame_tiles)
        if self._keeps:
            self._kept[kind] = weights
        return weights

    def _evaluated(self, tile: int) -> Samples:
        # In zeros of the sinc: c (i/r - j/s), as c / (r s) is the roll-off over the larger of the two.
        unit = ROLL_OFF / max(self._before, self._after)
        inputs = self.starts(tile, self.frame_tiles)[:, None] + np.arange(self.window)
        first_outputs = self.tile * np.arange(tile, tile + self.frame_tiles)[:, None]
        distances = (inputs * self._after - first_outputs * self._before) * unit
        zeros = distances[:, :, None] - np.arange(self.tile) * (self._before * unit)
        # Four times as fast in float32, which costs 1e-7 of the largest weight.
        zeros = zeros.astype(np.float64 if self._keeps else np.float32).clip(-ZERO_CROSSINGS, ZERO_CROSSINGS)
        weights: npt.NDArray[np.floating[Any]] = np.sinc(zeros)
        zeros *= np.pi / (2 * ZERO_CROSSINGS)
        np.cos(zeros, out=zeros)
        weights *= zeros
        weights *= zeros
        weights *= ROLL_OFF * min(self._before, self._after) / self._before
        return weights.astype(np.float32, copy=False)
