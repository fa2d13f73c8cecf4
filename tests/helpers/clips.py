"""Audio that tests listen to: real clips that come with them, and speech of any length made of those."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np

from helpers.paths import ROOT
from overtone.audio import Decoder

EXAMPLES = ROOT / "examples"
CLIPS = ROOT / "tests" / "data"
"""Real audio; its README.md says what it is."""


def decoded(path: Path) -> np.ndarray:
    """What Overtone hears in a file. float32 (samples,), 16 kHz."""
    with Decoder(str(path)) as decoder:
        return np.concatenate(list(decoder.blocks()))


def buzz(seconds: float, seed: int = 0, rate: int = 16_000) -> np.ndarray:
    """Something like a voice, which no detector takes for one for long: a buzz with a wandering pitch and syllables.

    float32 (samples,).
    """
    random = np.random.default_rng(seed)
    time = np.arange(round(seconds * rate)) / rate
    pitch = 120 + 30 * np.sin(2 * np.pi * 0.7 * time + random.uniform(0, 6))
    phase = 2 * np.pi * np.cumsum(pitch) / rate
    tones = sum(np.sin(k * phase) / k for k in range(1, 12))
    syllables = np.clip(np.sin(2 * np.pi * 3.1 * time + random.uniform(0, 6)) + 0.6, 0, None)
    return (0.1 * tones * syllables + 0.003 * random.standard_normal(len(time))).astype(np.float32)


@functools.cache
def _tape() -> tuple[np.ndarray, np.ndarray]:
    """The examples' speech end to end without silence around it, float32 (samples,), and samples at which it is loud
    for the next 0.3 s, int (starts,)."""
    clips = []
    for name in ("angry", "happy", "sad"):
        samples = decoded(EXAMPLES / f"{name}.wav")
        loud = np.flatnonzero(np.abs(samples) > 0.05 * np.abs(samples).max())
        clips.append(samples[loud[0] : loud[-1]])
    tape = np.concatenate(clips)
    level = np.convolve(np.square(tape), np.ones(4800), mode="valid")[::1600]
    return tape, np.flatnonzero(level > np.median(level)) * 1600


def voice(seconds: float, seed: int = 0, rate: int = 16_000) -> np.ndarray:
    """Speech that goes on, of its own for each seed: where it begins, how loud it is, and the noise under it.

    float32 (samples,).
    """
    random = np.random.default_rng(seed)
    tape, starts = _tape()
    begin = int(random.choice(starts)) + int(random.integers(0, 400))
    at = begin + np.arange(round(seconds * rate)) * (16_000 / rate)
    speech = np.interp(at % (len(tape) - 1), np.arange(len(tape)), tape)
    return (random.uniform(0.5, 1) * speech + 0.0005 * random.standard_normal(len(at))).astype(np.float32)
