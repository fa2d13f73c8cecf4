"""Resampling: chunks at any rate in, arrays at 16 kHz out, and samples that are no audio refused."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby

import numpy as np
from av.audio.frame import AudioFrame

from overtone.audio.av_errors import faults_as
from overtone.audio.frames import packed_array
from overtone.audio.reblock import reblocked
from overtone.audio.sample_converter import SampleConverter
from overtone.audio.source import MAX_PIECE, Chunk
from overtone.errors import Code, InputError
from overtone.types import SAMPLE_RATE, Samples

_LOUDEST = 1e12  # full scale is 1; integers kept as floats reach 2e9. Beyond that a mean or a filter overflows


def resampled(chunks: Iterable[Chunk], name: str) -> Iterator[Samples]:
    """Yield arrays (channels, n) at 16 kHz. A change of rate in mid-stream gets a new resampler."""
    start_s = 0.0
    for (rate, channels), run in groupby(chunks, key=lambda chunk: (chunk[0], len(chunk[1]))):
        resampler = Resampler(channels, rate, name)
        # Pieces of ¼ s: what comes out does not depend on how the source was cut into chunks.
        for piece in reblocked((samples for _, samples in run), max(1, min(MAX_PIECE, rate // 4))):
            _refuse_bad(piece, rate, start_s, name)
            yield resampler.push(piece)
            start_s += piece.shape[1] / rate
        yield resampler.flush()


def _refuse_bad(piece: Samples, rate: int, start_s: float, name: str) -> None:
    """Raise for NaN, infinity and values that would overflow later."""
    good = np.abs(piece) <= _LOUDEST  # false for NaN too
    if not good.all():
        first = int(np.argmin(good.all(axis=0)))
        channel = int(np.argmin(good[:, first]))
        text = f"{name}: a sample is {piece[channel, first]} at {start_s + first / rate:.3f} s; "
        text += "replace NaN and infinity and scale samples to ±1"
        raise InputError(text, code=Code.BAD_SAMPLES)


class Resampler:
    """Arrays (channels, n) at `rate` in, at 16 kHz out, channel by channel. At 16 kHz nothing is touched."""

    def __init__(self, channels: int, rate: int, name: str) -> None:
        self._channels, self._rate = channels, rate
        self._name, self._refusal = name, f"{rate} Hz could not be resampled to 16 kHz"
        # A count instead of a layout: nothing is remixed, and every count up to 64 has one.
        self._layout = f"{channels} channels"
        self._converter: SampleConverter | None = None
        if rate != SAMPLE_RATE:
            with faults_as(Code.BAD_RATE, self._name, self._refusal):
                self._converter = SampleConverter(self._layout, rate, "flt", SAMPLE_RATE, "flt")

    def push(self, array: Samples) -> Samples:
        """Take samples; return those that are ready, which may be none."""
        if self._converter is None:
            return array
        with faults_as(Code.BAD_RATE, self._name, self._refusal):
            packed = np.ascontiguousarray(array.T).reshape(1, -1)
            frame = AudioFrame.from_ndarray(packed, format="flt", layout=self._layout)
            frame.sample_rate = self._rate
            return self._joined(self._converter.push(frame))

    def flush(self) -> Samples:
        """The samples left in the filter."""
        if self._converter is None:
            return self._joined([])
        with faults_as(Code.BAD_RATE, self._name, self._refusal):
            return self._joined(self._converter.push(None))

    def _joined(self, frames: list[AudioFrame]) -> Samples:
        arrays = [np.empty((self._channels, 0), np.float32), *(packed_array(frame, "f4") for frame in frames)]
        joined: Samples = np.concatenate(arrays, axis=1)
        return joined
