"""Circuit breaker: no calls, for a while, to a service that has just failed."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

_log = logging.getLogger("overtone.server.cache")


class CircuitBreaker:
    """Circuit breaker: open for `pause_s` after a failure; then one caller asks for all.

    Trouble is logged once when it comes and once when it is over, both as warnings: a reader of the one wants the
    other. A caller gets a turn and reports its outcome. Turns from before the trouble decide nothing any more, so
    requests that were on their way together, some of which still got through, do not make it come and go.
    """

    def __init__(self, name: str, pause_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.name = name
        self.failure_count = 0
        """Failed calls so far."""
        self.last_error: str | None = None
        """Text of the last failure; None while all is well."""
        self._pause_s = pause_s
        self._clock = clock
        self._turn = 0
        self._next_s = 0.0

    def try_acquire(self) -> int | None:
        """A turn to ask, or None while it is no use. In trouble one in every pause gets it, come back or not."""
        if self.last_error is not None:
            now_s = self._clock()
            if now_s < self._next_s:
                return None
            self._next_s = now_s + self._pause_s
        return self._turn

    def record_failure(self, turn: int, why: str) -> None:
        """Record that a call failed."""
        self.failure_count += 1
        if turn != self._turn:
            return
        if self.last_error is None:
            self._turn += 1
            _log.warning(
                "%s is in trouble: %s. Answers are computed without it; it is asked again every %g s.",
                self.name,
                why,
                self._pause_s,
            )
        self.last_error = why
        self._next_s = self._clock() + self._pause_s

    def record_success(self, turn: int) -> None:
        """Record that a call succeeded."""
        if turn == self._turn and self.last_error is not None:
            self.last_error = None
            _log.warning("%s is well again.", self.name)
