"""Resampling to 16 kHz as torchaudio's documentation defines it, output by output in float64."""

from __future__ import annotations

from fractions import Fraction

import numpy as np


def resampled(samples: np.ndarray, rate: int, outputs: np.ndarray | None = None) -> np.ndarray:
    """`torchaudio.transforms.Resample(rate, 16_000)` of (samples,), by its formula: a sinc that ends after six zeros
    under a Hann window, cut off at 0.99 of half the lower rate. outputs: those that are wanted; None is all of them.
    """
    cutoff = 0.99 * min(rate, 16_000)  # zeros of the sinc in a second
    if outputs is None:
        outputs = np.arange(-(-len(samples) * 16_000 // rate))
    answer = []
    for output in outputs:
        at = Fraction(int(output), 16_000)
        nearest = round(at * rate)
        span = int(6 / cutoff * rate) + 2
        places = np.arange(max(0, nearest - span), min(len(samples), nearest + span + 1))
        offsets = (places - nearest) / rate + float(Fraction(nearest, rate) - at)  # in s, without cancellation
        zeros = cutoff * offsets
        window = np.where(np.abs(zeros) < 6, 0.5 + 0.5 * np.cos(np.pi * zeros / 6), 0)
        answer.append(np.sum(samples[places].astype(np.float64) * np.sinc(zeros) * window) * cutoff / rate)
    return np.array(answer)
