"""Speech to calibrate on and to measure agreement on: what the user names, or what comes with the package."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib import resources
from pathlib import Path
from typing import Literal

import numpy as np

from overtone.audio import Decoder
from overtone.errors import InputError
from overtone.inputs import FailedInput, expand
from overtone.values import SAMPLE_RATE, Samples

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
        name = "calibration.mp3" if part == "calibration" else "held-out.mp3"
        bundled = Path(str(resources.files("overtone"))) / "assets" / "speech" / name
        return list(_cut(str(bundled)))
    found: list[Samples] = []
    wanted = 2 * _MOST
    for source in expand(list(audio)):
        if isinstance(source, FailedInput):
            raise source.error
        for window in _cut(str(source.path), source.source):
            found.append(window)
            if len(found) == wanted:
                break
        if len(found) == wanted:
            break
    chosen = found[0::2] if part == "calibration" else found[1::2]
    if not chosen:
        raise InputError(
            f"{told(audio)}: has {len(found)} windows of {WINDOW_S:g} s; calibrating and measuring take two or more. "
            "Name more audio, or none, to use what comes with Overtone.",
            code="too_short",
        )
    return chosen


def told(audio: Sequence[str]) -> str:
    """The audio by name, for records and messages."""
    return ", ".join(audio) if audio else "bundled acted German"


def _cut(path: str, name: str | None = None) -> Iterator[Samples]:
    length, pending = round(WINDOW_S * SAMPLE_RATE), np.zeros(0, np.float32)
    with Decoder(path, name) as decoder:
        for block in decoder.blocks():
            pending = np.concatenate([pending, block])
            while len(pending) >= length:
                yield pending[:length].copy()
                pending = pending[length:]
    if len(pending) >= _LEAST_S * SAMPLE_RATE:
        yield pending
