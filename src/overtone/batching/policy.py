"""Batch policy, pure: the segments of the next batch, and its limits. No torch, no clock, no I/O."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from overtone.batching.cost_model import CostModel, Shape
from overtone.types import SAMPLE_RATE

BUCKETS_PER_OCTAVE = 16
"""Lengths are rounded up to one of 16 steps per doubling: at most 1/16 of a batch is rounding, and the number of
distinct shapes stays small enough for runtimes that keep something for each."""

_FINEST_BUCKET = 1024
"""Samples (64 ms). Below a second, finer steps gain nothing. A power of two, so that buckets nest."""


def _step(samples: int) -> int:
    """Distance between buckets just below `samples`."""
    octave = 1 << (samples - 1).bit_length() - 1 if samples > 1 else 1
    return max(octave // BUCKETS_PER_OCTAVE, _FINEST_BUCKET)


def bucket(samples: int) -> int:
    """`samples` rounded up to its bucket. Monotone, idempotent, and never less than `samples`."""
    step = _step(samples)
    return -(-samples // step) * step


MIN_FILL = 0.8
"""The shortest of a batch is at least this share of the longest, so that padding never costs more than it gains."""


BACKGROUND_BATCH = 0.25
"""Share of a full batch that background work runs at once: other work that comes meanwhile waits for no more."""


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """Limits of one batch. Seconds are padded seconds; None means no cap."""

    room_bytes: int
    cost: CostModel
    batch_s: float | None = None
    threshold_s: float | None = None

    @property
    def background(self) -> BatchLimits:
        """The limits for a batch of background work."""
        return replace(self, batch_s=None if self.batch_s is None else self.batch_s * BACKGROUND_BATCH)

    def fits(self, shape: Shape) -> bool:
        """True if a batch of this shape keeps to every limit."""
        return (
            self.cost.predict(shape) <= self.room_bytes
            and (self.batch_s is None or shape.padded_s <= self.batch_s)
            and (self.threshold_s is None or shape.rows == 1 or shape.seconds <= self.threshold_s)
        )


def shape_of(lengths: Sequence[int]) -> Shape:
    """The shape that segments of these lengths (samples) are charged as when run together."""
    return Shape(len(lengths), bucket(max(lengths)) / SAMPLE_RATE)


def take_batch(waiting: Sequence[int], limits: BatchLimits) -> tuple[int, ...]:
    """Indices into `waiting` (lengths in samples, oldest first) of the next batch, in order of age.

    The oldest is always taken, so nothing starves, and it is taken even where it alone breaks a limit: the caller
    has checked the size of single segments. It is joined by those nearest to it in length, which waste the least
    padding, as long as the batch keeps to the limits and to `MIN_FILL`. Returns () for no waiting segments.
    """
    if not waiting:
        return ()
    buckets = [bucket(length) for length in waiting]
    by_nearness = sorted(range(1, len(waiting)), key=lambda i: (abs(buckets[i] - buckets[0]), i))
    batch = [0]
    shortest = longest = buckets[0]
    for i in by_nearness:
        low, high = min(shortest, buckets[i]), max(longest, buckets[i])
        fits = low >= MIN_FILL * high and limits.fits(Shape(len(batch) + 1, high / SAMPLE_RATE))
        if fits:
            batch.append(i)
            shortest, longest = low, high
        elif high == longest and low == shortest:
            break  # nothing between these two lengths fits any more, and what lies outside costs more
    return tuple(sorted(batch))
