"""The recordings: labelled utterances of the Berlin database, and unlabelled speech for the front end."""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile
from scipy import signal

Wave = npt.NDArray[np.float32]
"""Mono samples at `SAMPLE_RATE`, shape (samples,)."""

SAMPLE_RATE = 16_000
"""Hz."""

LETTERS = "WLEAFNT"
"""Emotion letters of the Berlin database (Wut, Langeweile, Ekel, Angst, Freude, neutral, Trauer)."""

TOKENS = ("生气/angry", "厌倦/bored", "厌恶/disgusted", "恐惧/fearful", "开心/happy", "中立/neutral", "难过/sad")
"""Label of every class, in the order of `LETTERS` and of the classifier's rows."""

NAMES = tuple(token.split("/")[1] for token in TOKENS)

UNLABELLED = -1
"""Label of speech of which no emotion is known."""

_PUBLIC_DOMAIN = ("sonnets/*.mp3", "librivox/*.wav", "whisper/*.flac", "lhotse/LJ*.wav")
"""Recordings in the public domain only, so that the trained weights carry no further conditions."""


@dataclass(frozen=True, slots=True)
class Utterance:
    """One acted sentence."""

    name: str
    speaker: str
    sentence: str
    label: int
    wave: Wave


def load_emodb(folder: Path) -> list[Utterance]:
    """All utterances below `folder` (itself, or its `wav`), by name. `03a01Fa`: speaker, sentence, emotion."""
    paths = sorted(folder.glob("wav/*.wav")) or sorted(folder.glob("*.wav"))
    if not paths:
        raise FileNotFoundError(f"{folder}: no *.wav here or in wav/; this should be the Berlin database.")
    return [
        Utterance(path.stem, path.stem[:2], path.stem[2:5], LETTERS.index(path.stem[5]), load_wave(path))
        for path in paths
    ]


def load_speech(folder: Path) -> list[Wave]:
    """Unlabelled recordings, each a few seconds to a minute long."""
    paths = sorted(path for pattern in _PUBLIC_DOMAIN for path in folder.glob(pattern))
    if not paths:
        raise FileNotFoundError(f"{folder}: none of {', '.join(_PUBLIC_DOMAIN)} found.")
    return [load_wave(path) for path in paths]


def load_wave(path: Path) -> Wave:
    """Read a file as mono at 16 kHz."""
    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    wave = samples.mean(axis=1)
    if rate != SAMPLE_RATE:
        common = gcd(rate, SAMPLE_RATE)
        wave = signal.resample_poly(wave, SAMPLE_RATE // common, rate // common)
    return np.ascontiguousarray(wave, dtype=np.float32)


def normalise(wave: Wave) -> Wave:
    """Zero mean and unit variance over the whole utterance, as emotion2vec takes it (layer norm, eps 1e-5)."""
    centred = wave - wave.mean()
    return np.asarray(centred / np.sqrt(centred.var() + 1e-5), dtype=np.float32)
