"""Resampling to 16 kHz as torchaudio's documentation defines it, in float64."""

from __future__ import annotations

import numpy as np

_AT_ONCE = 4096
"""Outputs whose windows are looked at together; all of a file's would take gigabytes."""


def resampled(samples: np.ndarray, rate: int, outputs: np.ndarray | None = None) -> np.ndarray:
    """`torchaudio.transforms.Resample(rate, 16_000)` of (samples,), by its formula: a sinc that ends after six zeros
    under a Hann window, cut off at 0.99 of half the lower rate. outputs: those that are wanted; None is all of them.
    """
    if outputs is None:
        outputs = np.arange(-(-len(samples) * 16_000 // rate))
    cutoff = 0.99 * min(rate, 16_000)  # zeros of the sinc in a second
    span = int(6 / cutoff * rate) + 2
    padded = np.pad(samples.astype(np.float64), span)
    answer = []
    for start in range(0, len(outputs), _AT_ONCE):
        wanted = outputs[start : start + _AT_ONCE].astype(np.int64)
        nearest = (2 * wanted * rate + 16_000) // 32_000  # the input nearest to each output
        off = (nearest * 16_000 - wanted * rate) / (16_000 * rate)  # and how far it is, in s, without cancellation
        steps = np.arange(-span, span + 1)
        places = nearest[:, None] + steps
        zeros = cutoff * (steps / rate + off[:, None])
        window = np.where(np.abs(zeros) < 6, 0.5 + 0.5 * np.cos(np.pi * zeros / 6), 0)
        # What is past either end counts as silence: the padding, and places further off than that.
        heard = padded[np.clip(places + span, 0, len(padded) - 1)]
        answer.append(np.sum(heard * np.sinc(zeros) * window, axis=1) * cutoff / rate)
    return np.concatenate(answer) if answer else np.zeros(0)
