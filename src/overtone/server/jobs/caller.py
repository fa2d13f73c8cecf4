"""Who waits for a file of a job."""

from __future__ import annotations

from collections.abc import Callable

from overtone.server.jobs.answers import KeptAnswers, digest_of
from overtone.server.reading import BoundedCaller
from overtone.values import Output, Samples


class JobCaller(BoundedCaller):
    """A job's file: everybody else goes first, and what the model has said of it before is known."""

    background = True

    def __init__(self, most_s: float, told: Callable[[float], None], kept: KeptAnswers | None) -> None:
        super().__init__(most_s, 0.0, told)
        self._kept = kept
        self.dropped = False

    def drop(self) -> None:
        """Stop it: the job was cancelled, or the service is ending."""
        self.dropped = True
        self.stop()

    def recall(self, samples: Samples) -> Output | None:
        """See Caller."""
        return None if self._kept is None else self._kept.recall(digest_of(samples))

    def keep(self, samples: Samples, output: Output) -> None:
        """See Caller."""
        if self._kept is not None:
            self._kept.keep(digest_of(samples), output)
