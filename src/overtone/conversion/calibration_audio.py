"""Speech to calibrate on and to measure agreement on: what the user names, or what comes with the package."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import chain, islice
from pathlib import Path
from typing import Literal

import numpy as np

from overtone.audio import Decoder, DecoderPool
from overtone.audio.inputs import Entry, FailedInput, expand
from overtone.errors import Code, InputError, UsageError
from overtone.system.assets import asset
from overtone.types import SAMPLE_RATE, Samples

Part = Literal["calibration", "held-out"]

WINDOW_S = 4.0
"""Seconds of a window: about an utterance."""

_LEAST_S = 1.0
"""A file's last window is left out where it is shorter."""

_MOST = 100
"""Windows that are taken of each part."""


def windows(audio: Sequence[str], part: Part) -> list[Samples]:
    """Windows of `WINDOW_S` seconds, float32 at 16 kHz. Of named audio every second window is held out.

    audio: paths, folders and lists, as on a command line. InputError for an input that cannot be used, or that gives
    fewer than two windows.
    """
    if not audio:
        return list(_cut(str(bundled_path(part))))
    with closing(DecoderPool(1)) as pool:
        found = list(islice(chain.from_iterable(_of(entry, pool) for entry in expand(list(audio))), 2 * _MOST))
    chosen = found[0::2] if part == "calibration" else found[1::2]
    if not chosen:
        raise InputError(
            f"{describe(audio)}: has {len(found)} windows of {WINDOW_S:g} s; calibrating and measuring take two or "
            "more. Name more audio, or none, to use what comes with Overtone.",
            code=Code.TOO_SHORT,
        )
    return chosen


def bundled_path(part: Part) -> Path:
    """The file of speech that comes with the package for this."""
    return asset("speech", f"{part}.mp3")


def describe(audio: Sequence[str]) -> str:
    """The audio by name, for records and messages."""
    return ", ".join(audio) if audio else "bundled acted German"


def _of(source: Entry, pool: DecoderPool) -> Iterator[Samples]:
    if isinstance(source, FailedInput):
        raise source.error
    if source.path is None:
        raise UsageError("standard input cannot be read twice, as calibration and as what agreement is measured on.")
    return _cut(str(source.path), source.source, pool)


def _cut(path: str, name: str | None = None, pool: DecoderPool | None = None) -> Iterator[Samples]:
    length, pending = round(WINDOW_S * SAMPLE_RATE), np.zeros(0, np.float32)
    with Decoder(path, name, pool) as decoder:
        for block in decoder.blocks():
            pending = np.concatenate([pending, block])
            while len(pending) >= length:
                yield pending[:length].copy()
                pending = pending[length:]
    if len(pending) >= _LEAST_S * SAMPLE_RATE:
        yield pending
