"""Threads that wait for answers: so many at once, and who is next."""

from __future__ import annotations

import asyncio

from overtone.batching.flow import Flow
from overtone.batching.slots import Claim, Slots
from overtone.errors import Code, RefusedError

MOST_WAITING = 96
"""Threads that wait for answers at once: enough short clips to fill batches. More requests wait for a thread."""

_FOR_SHORT = 32
"""Of them, those that only requests with short files may have while the others are taken."""

_MOST_OF_ONE = 32
"""Of the others, the most that one tenant may have: half. With those for short files it fills batches alone."""


class ThreadSlots:
    """Threads for requests, granted in turns among tenants as `Slots` has it. Used by the event loop's thread."""

    def __init__(self) -> None:
        self._slots = Slots(MOST_WAITING, _FOR_SHORT, quantum=1, most_of_one=_MOST_OF_ONE)
        self._waiting: dict[Claim, asyncio.Future[None]] = {}
        self._closed = False

    async def acquire(self, flow: Flow, *, short: bool) -> Claim:
        """Wait for a thread and hold it; `release` the claim that is returned. RefusedError (not_ready) once closed.

        - `short`: its file is.
        """
        if self._closed:
            raise ending()
        claim = self._slots.enter(flow, 1, urgent=short)
        self._waiting[claim] = asyncio.get_running_loop().create_future()
        self._grant()
        try:
            await self._waiting[claim]
            if self._closed:  # whether it was granted before that or not
                raise ending()
        except BaseException:
            self.release(claim)
            raise
        finally:
            del self._waiting[claim]
        return claim

    def release(self, claim: Claim) -> None:
        """Return the thread that `acquire` gave."""
        self._slots.leave(claim)
        self._grant()

    def _grant(self) -> None:
        for claim in self._slots.grant():
            self._tell(claim)

    def _tell(self, claim: Claim) -> None:
        if not self._waiting[claim].done():  # else it has just been given up, and is released
            self._waiting[claim].set_result(None)

    def close(self) -> None:
        """Refuse all that wait, and all that come."""
        self._closed = True
        for claim in self._waiting:
            self._tell(claim)


def ending() -> RefusedError:
    """The error of a request that a service which is ending does not begin."""
    return RefusedError(
        "the service is ending and takes nothing new; ask another, or again later.",
        code=Code.NOT_READY,
        retry_after_s=10.0,
    )
