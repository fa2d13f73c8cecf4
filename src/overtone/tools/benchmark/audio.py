"""Speech to measure with: files of any length of what comes with the package."""

from __future__ import annotations

import wave
from pathlib import Path
from typing import get_args

import numpy as np

from overtone.audio import Decoder
from overtone.conversion.calibration_audio import Part, bundled_path
from overtone.types import SAMPLE_RATE, Samples


def bundled_speech() -> Samples:
    """The acted German that comes with the package, one utterance after the other: float32 (samples,), 16 kHz."""
    blocks = []
    for part in get_args(Part):
        with Decoder(str(bundled_path(part))) as decoder:
            blocks += list(decoder.blocks())
    return np.concatenate(blocks)


def write_wav(path: Path, speech: Samples, seconds: float, *, start_s: float = 0.0) -> Path:
    """Write a 16-bit mono file of `seconds` of `speech` (float, ±1, 16 kHz), over and over, from `start_s` on."""
    turned = np.roll((np.clip(speech, -1, 1) * 32767).astype("<i2"), -round(start_s * SAMPLE_RATE))
    left = round(seconds * SAMPLE_RATE)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        while left > 0:
            piece = turned[:left]
            file.writeframes(piece.tobytes())
            left -= len(piece)
    return path
