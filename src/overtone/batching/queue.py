"""The segments that wait for a model, shared by every device that takes from them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from overtone.batching.fair_order import QUANTUM_SAMPLES, FairOrder
from overtone.batching.fair_semaphore import FairSemaphore
from overtone.batching.fairness import BackgroundShare
from overtone.batching.flow import Flow
from overtone.batching.policy import BatchLimits, take_batch
from overtone.errors import Code, UsageError
from overtone.system.semaphore import FifoSemaphore
from overtone.types import BYTES_PER_SAMPLE, SAMPLE_RATE, Samples

NEWCOMERS_SHARE = 0.25
"""Share of the audio in flight that only a request may have that has none there yet, where requests are not to wait for
each other: a clip that comes beside long files need not wait until some of theirs has been run, to be in the queue."""


@dataclass(slots=True, eq=False)
class QueueItem:
    """One segment that waits or runs.

    - `decode_params`: parameters for the model, None for its defaults.
    - `background`: it runs when nothing else waits.
    - `flow`: the request that it is of.
    - `was_preempted`: it was taken before, and is not preempted again.
    - `preemptible`: it was taken while nothing else waited.
    - `since`: when it came, by `time.perf_counter`.
    """

    samples: Samples
    decode_params: Hashable
    background: bool = False
    flow: Flow = field(default_factory=Flow)
    future: Future[Any] = field(default_factory=Future)
    was_preempted: bool = False
    preemptible: bool = False
    since: float = field(default_factory=time.perf_counter)

    def __len__(self) -> int:
        return len(self.samples)


class SegmentQueue:
    """Segments that wait for a model: requests in turns, each oldest first; background work apart. Thread-safe.

    Devices `register` before anything is put, and `unregister` when they die; the last to do so closes it.

    - `shared`: many requests come that are not to wait for each other; see `NEWCOMERS_SHARE`.
    """

    def __init__(self, *, shared: bool = False) -> None:
        self._newcomers_share = NEWCOMERS_SHARE if shared else 0.0
        self.audio = FairSemaphore(0, quantum=QUANTUM_SAMPLES * BYTES_PER_SAMPLE)
        """Bytes of audio that wait or run: bounded once, whatever the number of devices."""
        self._background = FifoSemaphore(0)  # so much of it at most is background work, which must not shut others out
        self._items: list[QueueItem] = []
        self._share = BackgroundShare()
        self._order = FairOrder()
        self._changed = threading.Condition()
        self._closed = False
        self._devices: list[str] = []
        self._preempts: list[Callable[[], bool]] = []
        self._dead: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self._items)

    @property
    def closed(self) -> bool:
        """True once nothing is taken in any more: it was closed, or the last device died."""
        return self._closed

    @property
    def dead_devices(self) -> tuple[str, ...]:
        """Reasons why devices died while others went on, a sentence each."""
        return self._dead

    def register(self, device: str, audio_bytes: int, preempt: Callable[[], bool] = lambda: False) -> None:
        """Add a device that takes batches.

        - `audio_bytes`: the audio that may wait for it, beside the audio that waits for the others.
        - `preempt`: called when something comes that is not background work; preempts the batch that the device runs,
          if it may be, and returns True if it did.
        """
        with self._changed:
            self._devices.append(device)
            self._preempts.append(preempt)
            self.audio.grow(audio_bytes, int(audio_bytes * self._newcomers_share))
            self._background.capacity += audio_bytes // 2

    def unregister(self, device: str, reason: str) -> Sequence[QueueItem]:
        """Remove a device. After the last one, returns the items still queued, so that they can be failed."""
        with self._changed:
            self._devices.remove(device)
            if self._devices:
                self._dead = (*self._dead, reason)
                self._changed.notify_all()  # this one may have been woken for what another has to take now
                return ()
            self._closed = True
            orphans, self._items = self._items, []
        self._close_semaphores()
        return orphans

    def put(
        self, samples: Samples, decode_params: Hashable = None, *, background: bool = False, flow: Flow | None = None
    ) -> Future[Any]:
        """Queue one segment; waits while audio in flight is at its bound. UsageError in the future once closed.

        - `flow`: the request that it is of; None for one that has no other segment.
        """
        item, size = QueueItem(samples, decode_params, background, flow or Flow()), samples.nbytes
        if background:
            self._background.acquire(size)
            item.future.add_done_callback(lambda _: self._background.release(size))
        claim = self.audio.acquire(size, item.flow, urgent=False if background else None)
        item.future.add_done_callback(lambda _: self.audio.release(claim))
        item.future.add_done_callback(self._forget)
        with self._changed:
            if self._closed:
                item.future.set_exception(UsageError("the model was closed before this could be run", code=Code.CLOSED))
                return item.future
            self._items.append(item)
            self._changed.notify()
            preempts = () if background else tuple(self._preempts)
        any(preempt() for preempt in preempts)  # the first that does is enough
        return item.future

    def _forget(self, future: Future[Any]) -> None:
        """Drop a cancelled item at once: its samples are not held until its turn would have come."""
        if future.cancelled():
            with self._changed:
                self._items = [item for item in self._items if item.future is not future]

    def requeue(self, items: Sequence[QueueItem]) -> None:
        """Put preempted items back, before all that came after them."""
        with self._changed:
            self._items[:0] = items
            self._changed.notify()

    def wait(self) -> bool:
        """Wait until there is something to take; False once it is closed and drained."""
        with self._changed:
            self._changed.wait_for(lambda: self._items or self._closed)
            return bool(self._items)

    def get_batch(self, limits: BatchLimits) -> list[QueueItem]:
        """The next batch within `limits`; empty where another device was faster, or all of it was cancelled."""
        with self._changed:
            if not self._items:
                return []
            kinds: tuple[list[QueueItem], list[QueueItem]] = ([], [])
            for item in self._items:
                kinds[item.background].append(item)
            foreground, background = kinds
            oldest_s = len(background[0]) / SAMPLE_RATE if background else None
            first = self._share.background_is_due(len(foreground), oldest_s)
            queue = background if first else self._in_turn(foreground)
            # A batch has one set of parameters.
            queue = [item for item in queue if item.decode_params == queue[0].decode_params]
            batch = [queue[i] for i in take_batch([len(w) for w in queue], limits.background if first else limits)]
            for item in () if first else batch:
                self._order.charge(item.flow, len(item))
            seconds = sum(len(item) for item in batch) / SAMPLE_RATE
            self._share.account(seconds, background=first, others=bool(kinds[not first]))
            taken = set(map(id, batch))
            self._items = [item for item in self._items if id(item) not in taken]
            for item in batch:
                item.preemptible = first and not foreground
        begun = [item for item in batch if item.was_preempted or item.future.set_running_or_notify_cancel()]
        for item in begun:
            item.was_preempted = True
        return begun

    def _in_turn(self, waiting: Sequence[QueueItem]) -> list[QueueItem]:
        """The oldest segment of the request that is due, and all that may fill its batch, oldest first."""
        oldest: dict[Flow, QueueItem] = {}
        for item in waiting:
            oldest.setdefault(item.flow, item)
        due = oldest[self._order.due({flow: len(item) for flow, item in oldest.items()})]
        return [due, *(item for item in waiting if item is not due and not self._order.owes(item.flow))]

    def close(self, *, drain: bool) -> None:
        """Take in no more; without `drain`, cancel the waiting items. May be called twice."""
        with self._changed:
            self._closed = True
            dropped = [] if drain else self._items
            self._items = self._items if drain else []
            self._changed.notify_all()
        for item in dropped:
            if not item.future.cancel():  # it was preempted
                item.future.set_exception(UsageError("the model was closed before this could be run", code=Code.CLOSED))
        self._close_semaphores()

    def _close_semaphores(self) -> None:
        self.audio.close()
        self._background.close()
