"""The segments that wait for a model, shared by every device that takes from them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from overtone.batching.fairness import BackgroundShare
from overtone.batching.policy import BatchLimits, take_batch
from overtone.errors import Code, UsageError
from overtone.system.semaphore import FifoSemaphore
from overtone.types import SAMPLE_RATE, Samples


@dataclass(slots=True, eq=False)
class QueueItem:
    """One segment that waits or runs.

    - `decode_params`: parameters for the model, None for its defaults.
    - `background`: it runs when nothing else waits.
    - `was_preempted`: it was taken before, and is not preempted again.
    - `preemptible`: it was taken while nothing else waited.
    - `since`: when it came, by `time.perf_counter`.
    """

    samples: Samples
    decode_params: Hashable
    background: bool = False
    future: Future[Any] = field(default_factory=Future)
    was_preempted: bool = False
    preemptible: bool = False
    since: float = field(default_factory=time.perf_counter)

    def __len__(self) -> int:
        return len(self.samples)


class SegmentQueue:
    """Segments that wait for a model, oldest first, background work apart. Thread-safe.

    Devices `register` before anything is put, and `unregister` when they die; the last to do so closes it.
    """

    def __init__(self) -> None:
        self.audio = FifoSemaphore(0)
        """Bytes of audio that wait or run: bounded once, whatever the number of devices."""
        self._background = FifoSemaphore(0)  # so much of it at most is background work, which must not shut others out
        self._items: list[QueueItem] = []
        self._share = BackgroundShare()
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
            self.audio.capacity += audio_bytes
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

    def put(self, samples: Samples, decode_params: Hashable = None, *, background: bool = False) -> Future[Any]:
        """Queue one segment; waits while audio in flight is at its bound. UsageError in the future once closed."""
        item, size = QueueItem(samples, decode_params, background), samples.nbytes
        semaphores = (self._background, self.audio) if background else (self.audio,)
        for semaphore in semaphores:
            semaphore.acquire(size)
            item.future.add_done_callback(lambda _, semaphore=semaphore: semaphore.release(size))  # type: ignore[misc]
        item.future.add_done_callback(self._forget)
        with self._changed:
            if self._closed:
                item.future.set_exception(UsageError("it was closed before this could be run", code=Code.CLOSED))
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
            # A batch has one set of parameters.
            queue = [item for item in kinds[first] if item.decode_params == kinds[first][0].decode_params]
            batch = [queue[i] for i in take_batch([len(w) for w in queue], limits.background if first else limits)]
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

    def close(self, *, drain: bool) -> None:
        """Take in no more; without `drain`, cancel the waiting items. May be called twice."""
        with self._changed:
            self._closed = True
            dropped = [] if drain else self._items
            self._items = self._items if drain else []
            self._changed.notify_all()
        for item in dropped:
            if not item.future.cancel():  # it was preempted
                item.future.set_exception(UsageError("it was closed before this could be run", code=Code.CLOSED))
        self._close_semaphores()

    def _close_semaphores(self) -> None:
        self.audio.close()
        self._background.close()
