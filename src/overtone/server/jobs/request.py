"""The request context of a job's file."""

from __future__ import annotations

from collections.abc import Callable

from overtone.server.inference.upload_reader import LimitedContext
from overtone.server.jobs.segment_cache import SegmentCheckpoint, digest_of
from overtone.types import ModelOutput, Samples


class JobContext(LimitedContext):
    """The context of a job's file: all other requests go first, and answers kept of it before are found again."""

    background = True

    def __init__(self, most_s: float, on_excess: Callable[[float], None], kept: SegmentCheckpoint | None) -> None:
        super().__init__(most_s, 0.0, on_excess)
        self._kept = kept
        self.dropped = False

    def drop(self) -> None:
        """Cancel it, as its job was cancelled or the service is ending."""
        self.dropped = True
        self.cancel()

    def cache_get(self, cache_key: str, samples: Samples) -> ModelOutput | None:
        """The answer kept of a segment; None if there is none."""
        return None if self._kept is None else self._kept.recall(digest_of(cache_key, samples))

    def cache_put(self, cache_key: str, samples: Samples, answer: ModelOutput) -> None:
        """Keep the answer of a segment, so that a later run of the job finds it."""
        if self._kept is not None:
            self._kept.keep(digest_of(cache_key, samples), answer)
