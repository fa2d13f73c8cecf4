"""Axes of the search: the values to try on a device."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import get_args

from overtone.engine.device_model import BATCH_S
from overtone.options.emotion import Options, Precision
from overtone.tools.tuning.search import Axes

_PRECISIONS = {"cpu": ("fp32", "bf16", "int8"), "cuda": ("fp32", "tf32", "bf16", "fp16")}

_SEGMENTS_S = (30.0, 20.0, 10.0)
"""Seconds. Nothing longer than the default: the cost of attention for a second of audio grows with the length."""


@dataclass(frozen=True, slots=True)
class SampleStats:
    """Amount of audio in the trials: seconds in all, and of the longest source."""

    audio_s: float
    max_source_s: float


def axes_for(options: Options, fixed: Collection[str], device: str, cores: int, sample: SampleStats) -> Axes:
    """Axes to try on `device` (`cpu`, `cuda:N`, or several of those joined by commas).

    Values that could make no difference are left out: threads on a GPU, batches and segments where files run whole,
    batches that hold all of the audio, segments that hold every source.

    - `fixed`: names of options that are given and stay as they are.
    - `cores`: those this process may use.
    """
    on_cpu = device == "cpu"
    return Axes(
        precision=_precisions(options, fixed, on_cpu=on_cpu),
        threads=_threads(options, fixed, cores, on_cpu=on_cpu),
        batch_size_s=_batches(options, fixed, sample.audio_s, on_cpu=on_cpu),
        max_segment=_segments(options, fixed, sample.max_source_s),
    )


def _precisions(options: Options, fixed: Collection[str], *, on_cpu: bool) -> tuple[str, ...]:
    if "precision" in fixed and options.precision is not None:
        return (options.precision,)
    if on_cpu and options.backend == "torch":
        return ("fp32",)  # all that PyTorch runs there
    known = get_args(Precision)
    return tuple(name for name in _PRECISIONS["cpu" if on_cpu else "cuda"] if name in known)


def _threads(options: Options, fixed: Collection[str], cores: int, *, on_cpu: bool) -> tuple[int | None, ...]:
    if "threads" in fixed or not on_cpu:
        return (options.threads,)
    # Half: where two of them share a core. A quarter: where others have work to do as well.
    return tuple(dict.fromkeys(max(1, cores // part) for part in (1, 2, 4)))


def _batches(options: Options, fixed: Collection[str], audio_s: float, *, on_cpu: bool) -> tuple[float | None, ...]:
    usual = max(BATCH_S["cpu" if on_cpu else "cuda"], options.longest_s)
    if "batch_size_s" in fixed or options.whole:
        return (options.batch_size_s,)
    # Doubled for as long as the one before did not hold all of the audio yet.
    return (None, *(size for size in (2 * usual, 4 * usual) if size / 2 < audio_s))


def _segments(options: Options, fixed: Collection[str], max_source_s: float) -> tuple[float, ...]:
    first = options.max_segment
    if "max_segment" in fixed or options.whole or options.segment != "vad":
        return (first,)
    most = min(first, max_source_s)
    return (first, *(seconds for seconds in _SEGMENTS_S if seconds < most))
