"""`ArraySource`: an `Audio` as a source."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

import numpy as np
import numpy.typing as npt

from overtone.audio.pcm import pcm_float32, sample_array
from overtone.audio.source import MAX_CHANNELS, MAX_PIECE, Chunk, checked_channels, checked_rate
from overtone.audio.tracks import AudioTrack
from overtone.errors import Code, InputError
from overtone.types import Audio, Layout

_SHAPES: dict[Layout, str] = {"channels_first": "(channels, samples)", "channels_last": "(samples, channels)"}


class ArraySource:
    """An array in memory as a source: slices of it, never a copy of the whole."""

    def __init__(self, audio: Audio, name: str, audio_track: int | None = None) -> None:
        if audio_track:
            text = f"{name}: there is no audio track {audio_track}; an array is one, 0"
            raise InputError(text, code=Code.NO_AUDIO)
        self._samples = _channel_rows(audio, name)
        self.rate = checked_rate(audio.rate, name)
        self.channels, length = self._samples.shape
        self.codec, self.container = str(self._samples.dtype), "array"
        self.claimed_s: float | None = length / self.rate
        self.exact = False  # nothing is cut short, so there is nothing to compare
        self.silence_s = 0.0
        self.tracks: tuple[AudioTrack, ...] = (
            AudioTrack(0, self.codec, self.rate, self.channels, start_s=0.0, is_default=True),
        )
        self.warnings: list[str] = []

    def chunks(self) -> Iterator[Chunk]:
        """The array, `MAX_PIECE` samples at a time."""
        for start in range(0, self._samples.shape[1], MAX_PIECE):
            yield self.rate, pcm_float32(self._samples[:, start : start + MAX_PIECE])

    def close(self) -> None:
        """Do nothing: an array holds nothing open."""


def _channel_rows(audio: Audio, name: str) -> npt.NDArray[Any]:
    """The samples as (channels, n), a view; `InputError` if they are no audio."""
    if audio.layout not in _SHAPES:
        text = f"{name}: layout {audio.layout!r}; it can be {', '.join(get_args(Layout))}"
        raise InputError(text, code=Code.BAD_SAMPLES)
    samples, shape = sample_array(audio.samples, name), _SHAPES[audio.layout]
    if samples.ndim not in (1, 2):
        text = f"{name}: {samples.ndim} dimensions; pass the shape (samples,) or {shape}"
        raise InputError(text, code=Code.BAD_SAMPLES)
    if samples.size == 0:
        raise InputError(f"{name}: the array is empty; pass samples", code=Code.EMPTY)
    rows = samples.T if samples.ndim == 2 and audio.layout == "channels_last" else np.atleast_2d(samples)
    if len(rows) > MAX_CHANNELS >= rows.shape[1]:
        other: Layout = "channels_first" if audio.layout == "channels_last" else "channels_last"
        text = (
            f"{name}: shape {samples.shape} is {len(rows)} channels as {shape}, which layout={audio.layout!r} means; "
            f"if it is {_SHAPES[other]}, pass Audio(samples, rate, layout={other!r})"
        )
        raise InputError(text, code=Code.BAD_SAMPLES)
    checked_channels(len(rows), name)
    return rows
