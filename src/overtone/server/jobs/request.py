"""Who waits for a file of a job."""

from __future__ import annotations

from collections.abc import Callable

from overtone.server.inference.upload_reader import LimitedContext
from overtone.server.jobs.segment_cache import SegmentCheckpoint, digest_of
from overtone.types import ModelOutput, Samples


class JobContext(LimitedContext):
    """A job's file: everybody else goes first, and what the models have said of it before is known."""

    background = True

    def __init__(self, most_s: float, told: Callable[[float], None], kept: SegmentCheckpoint | None) -> None:
        super().__init__(most_s, 0.0, told)
        self._kept = kept
        self.dropped = False

    def drop(self) -> None:
        """Stop it: the job was cancelled, or the service is ending."""
        self.dropped = True
        self.cancel()

    def cache_get(self, cache_key: str, samples: Samples) -> ModelOutput | None:
        """See `RequestContext`."""
        return None if self._kept is None else self._kept.recall(digest_of(cache_key, samples))

    def cache_put(self, cache_key: str, samples: Samples, answer: ModelOutput) -> None:
        """See `RequestContext`."""
        if self._kept is not None:
            self._kept.keep(digest_of(cache_key, samples), answer)
