"""The segments that wait for a model, shared by every device that takes from them."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

from overtone.errors import UsageError
from overtone.memory import Gate
from overtone.plan import Limits, take_batch
from overtone.values import Output, Samples


@dataclass(slots=True, eq=False)
class Work:
    """One segment that waits or runs. `since`: when it came, by `time.perf_counter`."""

    samples: Samples
    want_frames: bool
    future: Future[Output] = field(default_factory=Future)
    since: float = field(default_factory=time.perf_counter)

    def __len__(self) -> int:
        return len(self.samples)


class Waiting:
    """What has been submitted and not been taken, oldest first. Thread-safe.

    Devices `join` before anything is put, and `leave` when they die; the last to leave closes it.
    """

    def __init__(self) -> None:
        self.audio = Gate(0)
        """Bytes of audio that wait or run: bounded once, whatever the number of devices."""
        self._works: list[Work] = []
        self._changed = threading.Condition()
        self._closed = False
        self._devices: list[str] = []
        self._lost: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self._works)

    @property
    def lost(self) -> tuple[str, ...]:
        """What is to be said of devices that died while others went on."""
        return self._lost

    def join(self, device: str, audio_bytes: int) -> None:
        """A device that will take, and the audio that may wait for it beside what waits for the others."""
        with self._changed:
            self._devices.append(device)
            self.audio.capacity += audio_bytes

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
        self.audio.close()
        return orphans

    def put(self, samples: Samples, want_frames: bool) -> Future[Output]:
        """Queue one segment; waits while audio in flight is at its bound. UsageError in the future once closed."""
        work, size = Work(samples, want_frames), samples.nbytes
        self.audio.take(size)
        work.future.add_done_callback(lambda _: self.audio.give(size))
        with self._changed:
            if self._closed:
                work.future.set_exception(UsageError("it was closed before this could be run", code="closed"))
                return work.future
            self._works.append(work)
            self._changed.notify()
        return work.future

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
            # Frames are kept for a whole batch or not at all.
            queue = [work for work in self._works if work.want_frames == self._works[0].want_frames]
            batch = [queue[i] for i in take_batch([len(work) for work in queue], limits)]
            taken = set(map(id, batch))
            self._works = [work for work in self._works if id(work) not in taken]
        return [work for work in batch if work.future.set_running_or_notify_cancel()]

    def close(self, *, drain: bool) -> None:
        """Take in no more; without `drain`, cancel what waits. May be called twice."""
        with self._changed:
            self._closed = True
            dropped = [] if drain else self._works
            self._works = self._works if drain else []
            self._changed.notify_all()
        for work in dropped:
            work.future.cancel()
        self.audio.close()
