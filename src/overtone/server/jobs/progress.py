"""Progress of the jobs of this process. Kept in memory: after a restart it begins anew."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

_OVER_S = 30.0
"""Seconds of the clock over which the speed of a job is averaged."""


@dataclass(slots=True)
class _Speed:
    began: float
    at: float
    rate: float | None = None

    def observe(self, now: float, seconds: float) -> None:
        passed, self.at = now - self.at, now
        if passed <= 0:
            return
        rate = seconds / passed
        # Of all the time so far while that is short, or the first few seconds would count for too much.
        share = min(1.0, passed / min(_OVER_S, now - self.began))
        self.rate = rate if self.rate is None else self.rate + (rate - self.rate) * share


class Progress:
    """Seconds of audio decoded of files that run, and how fast their jobs go. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: dict[tuple[str, int], float] = {}
        self._speeds: dict[str, _Speed] = {}

    def update(self, job: str, number: int, seconds: float) -> None:
        """Set the seconds of a file that are decoded. Nearly as many are answered: what lies between is bounded."""
        with self._lock:
            now, before = time.monotonic(), self._running.get((job, number), 0.0)
            self._running[job, number] = seconds
            if job in self._speeds:
                self._speeds[job].observe(now, seconds - before)
            else:
                self._speeds[job] = _Speed(now, now)  # when it began is not known; the next look tells of a speed

    def done(self, job: str, number: int) -> None:
        """Forget a file that is not running any more."""
        with self._lock:
            self._running.pop((job, number), None)

    def remove(self, job: str) -> None:
        """Forget a job that is not of interest any more."""
        with self._lock:
            self._speeds.pop(job, None)
            for place in [place for place in self._running if place[0] == job]:
                del self._running[place]

    def get(self, job: str) -> float:
        """Seconds of audio decoded of those files of a job that run."""
        with self._lock:
            return sum(seconds for (id, _), seconds in self._running.items() if id == job)

    def rate(self, job: str) -> float | None:
        """Seconds of audio that a job gets done in a second, over the last while; None if nothing is known."""
        with self._lock:
            speed = self._speeds.get(job)
            return None if speed is None else speed.rate
