"""Front of the cache: an answer from the store, from another request that is computing it, or computed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

from overtone.server.cache.single_flight import SingleFlight
from overtone.server.cache.store import Store
from overtone.system.memory import KIB, MIB

Outcome = Literal["hit", "shared", "miss"]
"""Origin of an answer: kept from before; computed for another request at the same time; computed for this one."""

KEEPING_BYTES = 16 * MIB
"""Bytes of answers on their way to the store, at most; a single one may be larger. Answers that come too fast for it
are not kept. It holds three of the largest that Redis is sent, or a thousand of the usual, which have some 10 KiB."""

KEPT_BYTES = 4 * KIB
"""Bytes that each of them is charged beside its content: a task, its frames and a command to Redis."""

CLOSING_S = 2.0
"""Seconds for answers still on their way when the service stops: several times the time that Redis is given for one."""


@dataclass(frozen=True, slots=True)
class _Kept:
    """An answer on its way to the store, and the task that brings it there."""

    answer: bytes
    task: asyncio.Task[None]


class ResultCache:
    """Answers by key, each computed once at a time and kept when it is done. For one event loop.

    No caller waits for an answer to be kept: that is done behind, and until it is, the answer is given from here.
    """

    def __init__(self, store: Store, flights: SingleFlight | None = None) -> None:
        self.hits = 0
        """Answers given that had been kept."""
        self.shared = 0
        """Answers given to requests that had joined another one."""
        self.misses = 0
        """Answers computed for the first to ask. Failures are counted nowhere."""
        self.dropped = 0
        """Answers not kept, as too many were on their way to the store."""
        self._store = store
        self._flights = SingleFlight() if flights is None else flights
        self._keeping: dict[str, _Kept] = {}
        self._keeping_bytes = 0

    @property
    def healthy(self) -> bool:
        """True if the store did its last command. Answers come either way."""
        return self._store.healthy

    @property
    def last_error(self) -> str | None:
        """Text of the store's last failure; None while nothing is wrong. Shows no password."""
        return self._store.last_error

    @property
    def failure_count(self) -> int:
        """Failed commands of the store so far."""
        return self._store.failure_count

    @property
    def rejected_count(self) -> int:
        """Values that the store found so far and did not take for answers. Each was computed anew."""
        return self._store.rejected_count

    @property
    def held_bytes(self) -> int:
        """Memory of this process that kept answers hold, and those on their way to be."""
        return self._store.held_bytes + self._keeping_bytes

    async def get_or_make(self, key: str, make: Callable[[], Awaitable[bytes]]) -> tuple[bytes, Outcome]:
        """The answer under a key, and its origin. `make` is called where there is none.

        Raises the errors of `make`. RefusedError `not_ready` if the cache is closed meanwhile.
        """
        on_its_way = self._keeping.get(key)
        if on_its_way is not None:
            self.hits += 1
            return on_its_way.answer, "hit"
        (answer, kept), joined = await self._flights.run(key, lambda: self._look_or_make(key, make))
        if kept:
            self.hits += 1
            return answer, "hit"
        if joined:
            self.shared += 1
            return answer, "shared"
        self.misses += 1
        return answer, "miss"

    async def close(self) -> None:
        """Stop computing, keep finished answers if that goes quickly, and close the flights and the store."""
        await self._flights.close()
        if self._keeping:
            _, late = await asyncio.wait([kept.task for kept in self._keeping.values()], timeout=CLOSING_S)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        await self._store.close()

    async def _look_or_make(self, key: str, make: Callable[[], Awaitable[bytes]]) -> tuple[bytes, bool]:
        """The answer, and True if it had been kept."""
        found = await self._store.get(key)
        if found is not None:
            return found, True
        answer = await make()
        self._keep(key, answer)
        return answer, False

    def _keep(self, key: str, answer: bytes) -> None:
        if key in self._keeping:  # left by all, it was computed anew, and then finished in spite of that
            return
        size = KEPT_BYTES + len(answer)
        if self._keeping and self._keeping_bytes + size > KEEPING_BYTES:
            self.dropped += 1
            return
        task = asyncio.create_task(self._put(key, answer))
        self._keeping[key] = _Kept(answer, task)
        self._keeping_bytes += size

        def done(_: asyncio.Task[None]) -> None:
            del self._keeping[key]
            self._keeping_bytes -= size

        task.add_done_callback(done)

    async def _put(self, key: str, answer: bytes) -> None:
        await self._store.put(key, answer)
