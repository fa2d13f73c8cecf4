"""Cost of batches on a device, found out by running some."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from overtone.batching.cost_model import CostModel, Shape
from overtone.types import FRAMES, SAMPLE_RATE, Batch

_PADDING = 512
"""Samples (32 ms) that noise is padded by: a frame, so that the masks of a padded batch are part of the cost."""


def noise(shape: Shape) -> Batch:
    """A batch of this shape, each row as long as the shape says, and padded by a little more."""
    samples = round(shape.seconds * SAMPLE_RATE)
    waveform = np.random.default_rng(0).standard_normal(samples).astype(np.float32)
    return Batch((waveform,) * shape.rows, samples + _PADDING, decode_params=FRAMES)


def measure(probe: Callable[[Batch], int], longest_s: float, *, row_s: float, quadratic: bool) -> CostModel:
    """The cost model fitted to single segments up to `longest_s` seconds and to a batch of four.

    probe: runs a batch and returns the bytes that it took. row_s: see CostModel. quadratic: whether attention's memory
    grows with the square of the length.
    """
    seconds = sorted({min(longest_s, s) for s in (2.0, 8.0, longest_s)})
    shapes = [Shape(1, s) for s in seconds] + [Shape(4, min(longest_s, 4.0))]
    began = time.perf_counter()
    cost = CostModel.fit([(shape, probe(noise(shape))) for shape in shapes], row_s=row_s, quadratic=quadratic)
    elapsed = time.perf_counter() - began
    return replace(cost, rtf=elapsed / sum(shape.padded_s for shape in shapes))
