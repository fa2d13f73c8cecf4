"""The protocol of a source of audio, and the limits on its channels and rate."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from overtone.audio.tracks import AudioTrack
from overtone.errors import Code, InputError
from overtone.types import Samples

MAX_CHANNELS = 64
"""FFmpeg's converter of sample formats takes no more."""

MIN_RATE = 1_000
"""Hz. Nothing that carries a voice is slower, and a damaged header could make hours of a few bytes."""

MAX_RATE = 768_000
"""Hz. The filter of a resampler grows with the rate, so a header may not ask for more."""

MAX_PIECE = 65_536
"""Most samples a channel that are converted or resampled at once, at the source's rate."""

Chunk = tuple[int, Samples]
"""A rate in Hz and the samples at that rate, (channels, n)."""


OnCancel = Callable[[Callable[[], None]], None]
"""Registers a function that is called once when a request is cancelled, and at once if it is already."""


class Source(Protocol):
    """A source of chunks: FFmpeg or an array.

    `claimed_s`: seconds by the header, None where it does not say; `exact`: True if that is more than an estimate;
    `silence_s`: seconds of silence that were filled in so far; `tracks`: all audio tracks that there are.
    """

    channels: int
    rate: int
    codec: str
    container: str
    claimed_s: float | None
    exact: bool
    silence_s: float
    tracks: tuple[AudioTrack, ...]
    warnings: list[str]

    def chunks(self) -> Iterator[Chunk]:
        """All of the audio, in order, once."""

    def close(self) -> None:
        """Stop reading and free the source. May be called twice."""


def float32(samples: npt.NDArray[Any]) -> Samples:
    """A copy as float32. Values too big for it become infinity, which is refused later."""
    with np.errstate(over="ignore"):
        return samples.astype(np.float32)


def checked_rate(rate: Any, name: str) -> int:
    """`rate` as an int; `InputError` if it is none or out of range."""
    with suppress(TypeError, ValueError, ArithmeticError):
        whole = int(rate)
        if whole == rate and MIN_RATE <= whole <= MAX_RATE:
            return whole
    text = f"{name}: a rate of {rate!r} Hz; it must be a whole number from {MIN_RATE} to {MAX_RATE}"
    raise InputError(text, code=Code.BAD_RATE)


def checked_channels(channels: int, name: str) -> int:
    """`channels`; `InputError` if there are more than can be used."""
    if channels > MAX_CHANNELS:
        text = f"{name}: {channels} channels, at most {MAX_CHANNELS} can be used; the header may be damaged"
        raise InputError(text, code=Code.TOO_MANY_CHANNELS)
    return channels
