"""The request context of a job's file."""

from __future__ import annotations

from collections.abc import Callable

from overtone.server.inference.upload_reader import LimitedContext
from overtone.server.jobs.segment_cache import SegmentCheckpoint, digest_of
from overtone.types import ModelOutput, Samples


class JobContext(LimitedContext):
    """The context of a job's file: all other requests go first, and answers kept of it before are found again."""

    background = True

    def __init__(
        self, most_s: float, on_excess: Callable[[float], None], kept: SegmentCheckpoint, on_answer: Callable[[], None]
    ) -> None:
        """on_answer: called once, by any thread, when something of the file came out that never had before."""
        super().__init__(most_s, 0.0, on_excess)
        self.expected_s = None  # all of its progress is told, from 0 s on, but it is not known to be short
        self._kept, self._on_answer = kept, on_answer
        self._told = False
        self.dropped = False

    def drop(self) -> None:
        """Cancel it, as its job was cancelled or the service is ending."""
        self.dropped = True
        self.cancel()

    def cache_get(self, cache_key: str, samples: Samples) -> ModelOutput | None:
        """The answer kept of a segment; None if there is none, and then it is written down that it is asked for."""
        digest = digest_of(cache_key, samples)
        if (known := self._kept.recall(digest)) is None:
            self._kept.begin(digest)
        return known

    def cache_put(self, cache_key: str, samples: Samples, answer: ModelOutput) -> None:
        """Keep the answer of a segment, so that a later run of the job finds it."""
        self._kept.keep(digest_of(cache_key, samples), answer)
        if self._kept.progressed and not self._told:
            self._told = True
            self._on_answer()
