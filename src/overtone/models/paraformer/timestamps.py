"""Times of tokens, from weights that fire where tokens begin (Shi et al., 2023, arXiv:2301.12343).

A predictor trained for it gives several weights to each frame. They add up to the number of tokens, and each time their
sum passes the next whole number a token begins: it lasts until the next one, but not longer than a token can.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

FRAME_S = 0.06
"""Seconds of one frame of the encoder: six of 10 ms."""

# FunASR's rules (`ts_prediction_lfr6_standard`), in weights, of which three make a frame:
_SHIFT = -1.5  # weights fire this much late
_LONGEST = 12  # a token, and silence after it
_SILENCE = 5  # more than this before the first token or after the last one is not part of them
_FULL = 1 - 1e-4  # a sum that is this near to the next whole number has passed it


def scale_to_count(weights: Floats, count: int) -> Floats:
    """Weights that add up to `count`, float32; as they are where they add up to nothing."""
    total = weights.sum()
    return weights * np.float32(count / total) if total > 0 else weights


def fire_positions(weights: Floats) -> npt.NDArray[np.int64]:
    """Places where the sum of weights passes the next whole number, int64, once at a place at most."""
    places, held = [], 0.0
    full = float(np.float32(_FULL))
    for place, weight in enumerate(weights.tolist()):
        held += weight
        if held >= full:
            places.append(place)
            held -= full
    return np.array(places, np.int64)


def token_times(weights: Floats, tokens: int, *, upsample: int = 3) -> npt.NDArray[np.int32]:
    """First and last millisecond of each token, half-open, int32 (tokens, 2).

    weights: of one row's true frames, `upsample` for each, float32, adding up to the number of tokens with the mark of
    the end. tokens: how many are asked for. Where another number has fired the weights are scaled to fit.
    """
    if not tokens:
        return np.zeros((0, 2), np.int32)
    begins = fire_positions(weights)
    if len(begins) != tokens + 1:
        begins = fire_positions(scale_to_count(weights, tokens + 1))
    if len(begins) < 2:  # no weights to go by: all the same length
        edges = np.linspace(0, len(weights), tokens + 1)
        spans: npt.NDArray[np.floating] = np.stack([edges[:-1], edges[1:]], axis=1)
    else:
        spans = _spans(begins[: tokens + 1] + _SHIFT, len(weights))
    # Seconds first and then milliseconds cut off, as FunASR does: the same roundings.
    times = (spans * (FRAME_S / upsample) * 1000).astype(np.int64)
    told = np.full((tokens, 2), times[-1, 1], np.int64)
    told[: len(times)] = times[:tokens]
    return np.maximum(told, 0).astype(np.int32)


def _spans(begins: npt.NDArray[np.floating], end: int) -> npt.NDArray[np.floating]:
    """From each place to the next, cut to the longest; half of the rest at the end belongs to the last token."""
    spans = np.stack([begins[:-1], begins[1:]], axis=1)
    long = spans[:, 1] - spans[:, 0] > _LONGEST
    spans[:, 1] = np.where(long, spans[:, 0] + _LONGEST, spans[:, 1])
    if not long[-1]:
        silent = end - begins[-1] > _SILENCE
        spans[-1, 1] = (end + begins[-1]) * 0.5 if silent else end
    return spans
