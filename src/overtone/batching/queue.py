"""The segments that wait for a model, shared by every device that takes from them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from overtone.batching.fairness import Turns
from overtone.batching.policy import Limits, take_batch
from overtone.errors import UsageError
from overtone.system.semaphore import Gate
from overtone.types import SAMPLE_RATE, Samples


@dataclass(slots=True, eq=False)
class Work:
    """One segment that waits or runs. `since`: when it came, by `time.perf_counter`.

    background: others go first. begun: it was taken before, and gave way. gives_way: it was taken while nobody else
    waited, and may be made to.
    """

    samples: Samples
    wish: Hashable
    background: bool = False
    future: Future[Any] = field(default_factory=Future)
    begun: bool = False
    gives_way: bool = False
    since: float = field(default_factory=time.perf_counter)

    def __len__(self) -> int:
        return len(self.samples)


class Waiting:
    """What has been submitted and not been taken, oldest first, background work apart. Thread-safe.

    Devices `join` before anything is put, and `leave` when they die; the last to leave closes it.
    """

    def __init__(self) -> None:
        self.audio = Gate(0)
        """Bytes of audio that wait or run: bounded once, whatever the number of devices."""
        self._background = Gate(0)  # so much of it at most is background work, which must not shut others out
        self._works: list[Work] = []
        self._turns = Turns()
        self._changed = threading.Condition()
        self._closed = False
        self._devices: list[str] = []
        self._runners: list[Callable[[], bool]] = []
        self._lost: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self._works)

    @property
    def closed(self) -> bool:
        """Whether nothing is taken in any more: it was closed, or the last device left."""
        return self._closed

    @property
    def lost(self) -> tuple[str, ...]:
        """What is to be said of devices that died while others went on."""
        return self._lost

    def join(self, device: str, audio_bytes: int, give_way: Callable[[], bool] = lambda: False) -> None:
        """A device that will take, and the audio that may wait for it beside what waits for the others.

        give_way: called when something comes that is not background work: whether what the device runs gives way to it.
        """
        with self._changed:
            self._devices.append(device)
            self._runners.append(give_way)
            self.audio.capacity += audio_bytes
            self._background.capacity += audio_bytes // 2

    def leave(self, device: str, reason: str) -> Sequence[Work]:
        """A device takes no more. What nobody else will take is given back: all that waits, after the last device."""
        with self._changed:
            self._devices.remove(device)
            if self._devices:
                self._lost = (*self._lost, reason)
                self._changed.notify_all()  # this one may have been woken for what another has to take now
                return ()
            self._closed = True
            orphans, self._works = self._works, []
        self._close_gates()
        return orphans

    def put(self, samples: Samples, wish: Hashable = None, *, background: bool = False) -> Future[Any]:
        """Queue one segment; waits while audio in flight is at its bound. UsageError in the future once closed."""
        work, size = Work(samples, wish, background), samples.nbytes
        gates = (self._background, self.audio) if background else (self.audio,)
        for gate in gates:
            gate.take(size)
            work.future.add_done_callback(lambda _, gate=gate: gate.give(size))  # type: ignore[misc]
        work.future.add_done_callback(self._forget)
        with self._changed:
            if self._closed:
                work.future.set_exception(UsageError("it was closed before this could be run", code="closed"))
                return work.future
            self._works.append(work)
            self._changed.notify()
            runners = () if background else tuple(self._runners)
        any(give_way() for give_way in runners)  # the first that does is enough
        return work.future

    def _forget(self, future: Future[Any]) -> None:
        """Nobody waits for it, if it was cancelled: its samples are not held until its turn would have come."""
        if future.cancelled():
            with self._changed:
                self._works = [work for work in self._works if work.future is not future]

    def put_back(self, works: Sequence[Work]) -> None:
        """Work that was taken and gave way waits again, before all that came after it."""
        with self._changed:
            self._works[:0] = works
            self._changed.notify()

    def wait(self) -> bool:
        """Wait until there is something to take; False once it is closed and drained."""
        with self._changed:
            self._changed.wait_for(lambda: self._works or self._closed)
            return bool(self._works)

    def take(self, limits: Limits) -> list[Work]:
        """The next batch within `limits`; empty where another device was faster, or all of it was cancelled."""
        with self._changed:
            if not self._works:
                return []
            kinds: tuple[list[Work], list[Work]] = ([], [])
            for work in self._works:
                kinds[work.background].append(work)
            foreground, background = kinds
            oldest_s = len(background[0]) / SAMPLE_RATE if background else None
            first = self._turns.background_first(len(foreground), oldest_s)
            # A batch has one wish.
            queue = [work for work in kinds[first] if work.wish == kinds[first][0].wish]
            batch = [queue[i] for i in take_batch([len(w) for w in queue], limits.background if first else limits)]
            seconds = sum(len(work) for work in batch) / SAMPLE_RATE
            self._turns.took(seconds, background=first, others=bool(kinds[not first]))
            taken = set(map(id, batch))
            self._works = [work for work in self._works if id(work) not in taken]
            for work in batch:
                work.gives_way = first and not foreground
        begun = [work for work in batch if work.begun or work.future.set_running_or_notify_cancel()]
        for work in begun:
            work.begun = True
        return begun

    def close(self, *, drain: bool) -> None:
        """Take in no more; without `drain`, cancel what waits. May be called twice."""
        with self._changed:
            self._closed = True
            dropped = [] if drain else self._works
            self._works = self._works if drain else []
            self._changed.notify_all()
        for work in dropped:
            if not work.future.cancel():  # begun once
                work.future.set_exception(UsageError("it was closed before this could be run", code="closed"))
        self._close_gates()

    def _close_gates(self) -> None:
        self.audio.close()
        self._background.close()
