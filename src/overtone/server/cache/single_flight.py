"""The same work asked for several times at once, done once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from overtone.errors import RefusedError

T = TypeVar("T")


@dataclass(slots=True, eq=False)
class _Flight:
    """Work that is being done, and how many wait for it."""

    task: asyncio.Task[Any]
    waiters: int = 0


class SingleFlight:
    """Work by key, in tasks of its own: it goes on while anybody waits for it, and is cancelled when the last has gone.

    For one event loop. What has ended, well or not, or was left by all, is not given to those who come later.
    """

    def __init__(self) -> None:
        self._flights: dict[str, _Flight] = {}
        """Those that may be joined."""
        self._tasks: set[asyncio.Task[Any]] = set()
        """All that have not ended, those included that nobody waits for any more."""
        self._closed = False

    def __len__(self) -> int:
        """How many tasks there are, those included that are being cancelled."""
        return len(self._tasks)

    async def run(self, key: str, make: Callable[[], Awaitable[T]]) -> tuple[T, bool]:
        """What `make` gives, and whether it was somebody else's.

        Raises what it raises, for all who wait. RefusedError `not_ready` after `close`, and where the work was
        cancelled by anybody but those who wait.
        """
        flight = self._flights.get(key)
        shared = flight is not None and not flight.task.done()
        if flight is None or not shared:
            flight = self._start(key, make)
        flight.waiters += 1
        try:
            await asyncio.wait((flight.task,))  # being cancelled here does not cancel the task
        finally:
            flight.waiters -= 1
            if not flight.waiters and not flight.task.done():
                self._forget(key, flight)
                flight.task.cancel()
        if flight.task.cancelled():
            raise _stopped()
        return flight.task.result(), shared

    async def close(self) -> None:
        """Cancel everything and wait until it has ended."""
        self._closed = True
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(tuple(self._tasks))

    def _start(self, key: str, make: Callable[[], Awaitable[Any]]) -> _Flight:
        if self._closed:
            raise _stopped()
        flight = self._flights[key] = _Flight(asyncio.create_task(_made(make)))
        self._tasks.add(flight.task)

        def ended(task: asyncio.Task[Any]) -> None:
            self._tasks.discard(task)
            self._forget(key, flight)
            if not task.cancelled():
                task.exception()  # known of now, should nobody be left to whom it matters

        flight.task.add_done_callback(ended)
        return flight

    def _forget(self, key: str, flight: _Flight) -> None:
        if self._flights.get(key) is flight:  # and not one that was started since
            del self._flights[key]


async def _made(make: Callable[[], Awaitable[T]]) -> T:
    return await make()


def _stopped() -> RefusedError:
    return RefusedError("the work on this was stopped before it was done; ask again.", code="not_ready")
