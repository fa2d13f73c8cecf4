"""Material of requests: short clips, and longer files joined from real speech."""

from __future__ import annotations

import shutil
import wave
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from common import speech, write_clips
from overtone.audio import Decoder
from overtone.errors import InputError
from overtone.tools.benchmark import write_wav
from overtone.types import Samples

CLIP_S = 5
"""Seconds of the clip whose latency is measured."""

LONG_S = 600
HOUR_S = 3600

Clip = tuple[str, float]
"""A path and its seconds of audio."""


@dataclass(frozen=True, slots=True)
class Material:
    """Files in a folder of this benchmark.

    - `clips`: short ones, in `folder`.
    - `long`: 10 minutes of them joined.
    """

    folder: Path
    name: str
    clips: tuple[Clip, ...]
    five: Clip
    long: Clip
    hour: Path


def material(folder: Path, files: int, corpus: Path | None, spoken: Path | None) -> Material:
    """Make the material.

    - `corpus`: a folder of short .wav files, of which `files` are taken from all over; else the example call.
    - `spoken`: a folder of recordings of any form, joined to the hour; else the example call, again and again.
    """
    shutil.rmtree(folder, ignore_errors=True)
    clips = folder / "clips"
    clips.mkdir(parents=True)
    if corpus is None:
        write_clips(clips, files)
    else:
        found = sorted(corpus.glob("*.wav"))
        for number in range(min(files, len(found))):
            shutil.copy(found[number * len(found) // min(files, len(found))], clips)
    paths = sorted(clips.iterdir())
    if not paths:
        raise SystemExit(f"{corpus} holds no .wav files.")
    joined = _joined(paths)
    spoken_audio = speech() if spoken is None else _joined(path for path in sorted(spoken.rglob("*")) if path.is_file())
    return Material(
        clips,
        "the example call" if corpus is None else "/".join(corpus.resolve().parts[-2:]),
        tuple((str(path), _seconds(path)) for path in paths),
        (str(write_wav(folder / "five.wav", joined, CLIP_S)), CLIP_S),
        (str(write_wav(folder / "long.wav", joined, LONG_S)), LONG_S),
        write_wav(folder / "hour.wav", spoken_audio, HOUR_S),
    )


def _seconds(path: Path) -> float:
    with wave.open(str(path), "rb") as file:
        return file.getnframes() / file.getframerate()


def _joined(paths: Iterable[Path]) -> Samples:
    """Files one after the other: float32 (samples,), 16 kHz. Those that cannot be decoded are left out."""
    pieces = []
    for path in paths:
        try:
            with Decoder(str(path)) as decoder:
                pieces += list(decoder.blocks())
        except InputError:
            continue
    return np.concatenate(pieces)
