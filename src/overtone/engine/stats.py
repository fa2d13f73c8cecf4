"""Counts of the work of an engine."""

from __future__ import annotations

from dataclasses import astuple, dataclass


@dataclass(slots=True)
class EngineStats:
    """Counts of the work so far. Seconds; `padded_s` is charged for padding too, `audio_s` is audio alone.

    `splits`: batches halved for want of memory. `interrupted`: batches of background work that gave way, and were begun
    again.
    """

    batches: int = 0
    segments: int = 0
    audio_s: float = 0.0
    padded_s: float = 0.0
    run_s: float = 0.0
    idle_s: float = 0.0
    splits: int = 0
    interrupted: int = 0

    def __add__(self, other: EngineStats) -> EngineStats:
        return EngineStats(*(mine + its for mine, its in zip(astuple(self), astuple(other), strict=True)))
