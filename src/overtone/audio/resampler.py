"""Resampling: chunks at any rate in, arrays at 16 kHz out, and samples that are no audio refused."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from overtone.audio.reblock import reblocked
from overtone.audio.sinc_kernel import SincKernel, kernel_from
from overtone.audio.source import MAX_PIECE, Chunk, checked_rate
from overtone.errors import Code, InputError
from overtone.types import SAMPLE_RATE, Samples

_MOST_OUTPUTS = 8_192
"""Outputs that are multiplied at once, half a second: windows overlap, and take up to 28 times the samples in them."""

_LOUDEST = 1e12  # full scale is 1; integers kept as floats reach 2e9. Beyond that a mean or a filter overflows


def resampled(chunks: Iterable[Chunk], name: str) -> Iterator[Samples]:
    """Yield arrays (channels, n) at 16 kHz. A change of rate in mid-stream gets a new resampler."""
    start_s = 0.0
    for (rate, channels), run in groupby(chunks, key=lambda chunk: (chunk[0], len(chunk[1]))):
        resampler = Resampler(channels, rate, name)
        # Pieces of ¼ s: a chunk may be as long as its source.
        for piece in reblocked((samples for _, samples in run), max(1, min(MAX_PIECE, rate // 4))):
            refuse_bad(piece, rate, start_s, name)
            yield resampler.push(piece)
            start_s += piece.shape[1] / rate
        yield resampler.flush()


def refuse_bad(piece: Samples, rate: int, start_s: float, name: str) -> None:
    """Raise InputError (bad_samples) for NaN, infinity and values that would overflow later.

    piece: (channels, n), which begins at `start_s` seconds of the source `name`.
    """
    good = np.abs(piece) <= _LOUDEST  # false for NaN too
    if not good.all():
        first = int(np.argmin(good.all(axis=0)))
        channel = int(np.argmin(good[:, first]))
        text = f"{name}: a sample is {piece[channel, first]} at {start_s + first / rate:.3f} s; "
        text += "replace NaN and infinity and scale samples to ±1"
        raise InputError(text, code=Code.BAD_SAMPLES)


class Resampler:
    """Arrays (channels, n) at `rate` in, at 16 kHz out, channel by channel. At 16 kHz nothing is touched.

    The samples are those of torchaudio's `Resample`, which FunASR uses, to the rounding of float32, and
    n * 16,000 / rate of them, rounded up. They do not depend on how the stream is cut, to the last bit: every output
    is one row of a product of one shape, whatever is multiplied beside it. InputError for a rate that is out of range.
    name: of the stream, in errors.
    """

    def __init__(self, channels: int, rate: int, name: str) -> None:
        self._channels, rate = channels, checked_rate(rate, name)
        self.rate, self.name = rate, name
        self._kernel = None if rate == SAMPLE_RATE else kernel_from(rate)
        self._taken = self._frame = 0
        # What the next frame needs, from sample `_start` on: silence before the first one.
        self._start = 0 if self._kernel is None else self._kernel.start(0)
        self._held = np.zeros((channels, -self._start), np.float32)

    def push(self, array: Samples) -> Samples:
        """Take samples; return those that are ready, which may be none: up to 26 ms are held back."""
        kernel = self._kernel
        if kernel is None:
            return array
        self._taken += array.shape[1]
        self._held = np.concatenate([self._held, array], axis=1)
        return self._products(kernel, kernel.whole_tiles(self._taken) // kernel.frame_tiles)

    def flush(self) -> Samples:
        """The samples that were held back; silence follows the last one. Nothing is pushed after it."""
        kernel = self._kernel
        if kernel is None:
            return self._held
        samples, frame = kernel.outputs(self._taken), kernel.frame_tiles * kernel.tile
        left, frames = samples - self._frame * frame, -(-samples // frame)
        end = kernel.start(frames * kernel.frame_tiles - 1) + kernel.window
        silence = np.zeros((self._channels, max(0, end - self._taken)), np.float32)
        self._held = np.concatenate([self._held, silence], axis=1)
        return self._products(kernel, frames)[:, :left]

    def _products(self, kernel: SincKernel, until: int) -> Samples:
        """The outputs of all frames before `until`; samples that no later frame needs are let go."""
        tiles, rows, first = kernel.frame_tiles, kernel.rows, self._frame
        outputs = np.empty((self._channels, until - first, tiles, kernel.tile), np.float32)
        most = max(1, _MOST_OUTPUTS // (tiles * kernel.tile))
        while self._frame < until:
            # A frame has its row in a product for good. What is in the rows of others changes nothing in its own.
            before = self._frame % rows
            count = min(most - before, until - self._frame)
            starts = np.zeros((-(-(before + count) // rows) * rows, tiles), np.int64)
            from_here = kernel.starts(self._frame * tiles, count * tiles) - self._start
            starts[before : before + count] = from_here.reshape(count, tiles)
            starts = starts.reshape(-1, rows, tiles).swapaxes(1, 2)
            at = slice(self._frame - first, self._frame - first + count)
            for samples, out in zip(self._held, outputs[:, at], strict=True):
                windows = sliding_window_view(samples, kernel.window)[starts]
                products = np.empty((*starts.shape, kernel.tile), np.float32)
                for kind in range(min(kernel.kinds, len(starts))):
                    same = slice(kind, None, kernel.kinds)
                    np.matmul(windows[same], kernel.weights(self._frame + kind), out=products[same])
                out[:] = products.swapaxes(1, 2).reshape(-1, tiles, kernel.tile)[before : before + count]
            self._frame += count
        start = kernel.start(until * tiles)
        self._held, self._start = self._held[:, start - self._start :].copy(), start
        return outputs.reshape(self._channels, -1)
