"""Audio that tests listen to: real clips that come with them, and something like a voice."""

from __future__ import annotations

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


def voice(seconds: float, seed: int = 0, rate: int = 16_000) -> np.ndarray:
    """Something like a voice: a buzz with a wandering pitch and syllables. float32 (samples,)."""
    random = np.random.default_rng(seed)
    time = np.arange(round(seconds * rate)) / rate
    pitch = 120 + 30 * np.sin(2 * np.pi * 0.7 * time + random.uniform(0, 6))
    phase = 2 * np.pi * np.cumsum(pitch) / rate
    buzz = sum(np.sin(k * phase) / k for k in range(1, 12))
    syllables = np.clip(np.sin(2 * np.pi * 3.1 * time + random.uniform(0, 6)) + 0.6, 0, None)
    return (0.1 * buzz * syllables + 0.003 * random.standard_normal(len(time))).astype(np.float32)
