"""Places or bytes that threads wait for in a fair order."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager

from overtone.batching.flow import Flow
from overtone.batching.slots import Claim, Slots


class FairSemaphore:
    """A counting semaphore whose waiting requests take turns, as `Slots` has it. Thread-safe."""

    def __init__(self, capacity: int, reserved: int = 0, *, quantum: int = 1) -> None:
        self._slots = Slots(capacity, reserved, quantum=quantum)
        self._changed = threading.Condition()
        self._closed = False

    @property
    def capacity(self) -> int:
        """The most that may be held at once, in all."""
        return self._slots.capacity

    @property
    def in_use(self) -> int:
        """The amount held now, in all."""
        with self._changed:
            return self._slots.in_use

    def grow(self, capacity: int, reserved: int = 0) -> None:
        """Let so much more be held at once; `reserved`: of that, for urgent claims."""
        with self._changed:
            self._slots.capacity += capacity
            self._slots.reserved += reserved
            self._grant()

    def acquire(
        self,
        size: int,
        flow: Flow | None = None,
        *,
        urgent: bool | None = None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> Claim:
        """Wait until `size` is granted to a request, and hold it; `release` the claim that is returned.

        - `flow`: of the request; None for one that has no other claim.
        - `urgent`: whether it may have of the reserve; None is True for a request that holds nothing here yet.
        - `cancelled`: true once the request was cancelled: then CancelledError, and nothing is held. It is asked again
          after each `wake`.
        """
        flow = Flow() if flow is None else flow
        with self._changed:
            urgent = not self._slots.holds(flow) if urgent is None else urgent
            claim = self._slots.enter(flow, size, urgent=urgent)
            try:
                self._grant()
                self._changed.wait_for(lambda: self._closed or claim.granted or cancelled())
                if cancelled():
                    raise CancelledError
            except BaseException:
                self._slots.leave(claim)
                self._grant()
                raise
        return claim

    def wake(self) -> None:
        """Let all that wait see whether they were cancelled."""
        with self._changed:
            self._changed.notify_all()

    def release(self, claim: Claim) -> None:
        """Return what `acquire` took."""
        with self._changed:
            self._slots.leave(claim)
            self._grant()
            self._changed.notify_all()

    def _grant(self) -> None:
        if self._slots.grant():
            self._changed.notify_all()

    @contextmanager
    def hold(
        self,
        size: int,
        flow: Flow | None = None,
        *,
        urgent: bool | None = None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> Iterator[None]:
        """Hold `size` while the block runs, once it is granted; as `acquire`."""
        claim = self.acquire(size, flow, urgent=urgent, cancelled=cancelled)
        try:
            yield
        finally:
            self.release(claim)

    def wait_until_empty(self) -> None:
        """Wait until nothing is held."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or not self._slots.in_use)

    def close(self) -> None:
        """Let all claims in; the queue that they are let in to is closed as well, and refuses them."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
