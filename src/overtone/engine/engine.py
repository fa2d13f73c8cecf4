"""One model on its devices: a queue of segments, and a worker for each device."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from concurrent.futures import Future
from typing import Any

from overtone.batching.flow import Flow
from overtone.batching.memory_plan import Plan
from overtone.batching.queue import SegmentQueue
from overtone.engine.stats import EngineStats
from overtone.engine.worker import Worker
from overtone.system.profiler import Profiler
from overtone.types import Samples


class Engine:
    """Runs one model's segments. Whichever device is free takes the next batch. Thread-safe.

    workers: at least one, all of this queue. A device that dies fails what it was running, and the others go on.
    """

    def __init__(self, workers: Sequence[Worker], queue: SegmentQueue) -> None:
        self._workers = tuple(workers)
        self._queue = queue

    @property
    def workers(self) -> tuple[Worker, ...]:
        """One for each device."""
        return self._workers

    @property
    def device(self) -> str:
        """The device that it runs on, several joined by commas."""
        return ",".join(worker.device for worker in self._workers)

    @property
    def backend_name(self) -> str:
        """The runtime, the same on all devices."""
        return self._workers[0].backend_name

    @property
    def precision(self) -> str:
        """The precision, the same on all devices."""
        return self._workers[0].precision

    @property
    def profiler(self) -> Profiler:
        """The profiler that times the workers and their callers."""
        return self._workers[0].profiler

    @property
    def plan(self) -> Plan:
        """The tightest device's: what it can hold, any of them can."""
        return min((worker.plan for worker in self._workers), key=lambda plan: plan.batch_bytes)

    @property
    def stats(self) -> EngineStats:
        """Counts of all workers so far; seconds are added up, though they ran side by side."""
        return sum((worker.stats for worker in self._workers), EngineStats())

    @property
    def peak_bytes(self) -> int:
        """The most that was in use on what the budget bounds, of the fullest device."""
        return max(worker.peak_bytes for worker in self._workers)

    @property
    def alive(self) -> bool:
        """True while it takes work: it was not closed, and not every device has died."""
        return not self._queue.closed

    @property
    def queued_bytes(self) -> int:
        """Bytes of audio that wait or run, for whatever device."""
        return self._queue.audio.in_use

    @property
    def on_worker_thread(self) -> bool:
        """True if the calling thread is a worker's."""
        return any(worker.on_worker_thread for worker in self._workers)

    def submit(
        self,
        samples: Samples,
        *,
        decode_params: Hashable = None,
        background: bool = False,
        flow: Flow | None = None,
    ) -> Future[Any]:
        """Queue one segment's samples, float32 (samples,), 16 kHz. Blocks while audio in flight is at its bound.

        decode_params: parameters for the model; a batch has one set. background: run it behind everything else; see
        `overtone.batching.fairness.BackgroundShare`. flow: the request that it is of, which takes turns with
        others; None for one that has no other segment.
        The future fails with BudgetError if the segment alone cannot be held, and with UsageError once the engine
        is closed. A future cancelled in time costs nothing.
        """
        began = self.profiler.begin()
        future = self._queue.put(samples, decode_params, background=background, flow=flow)
        self.profiler.end("wait", began)
        return future

    def wait_until_idle(self) -> None:
        """Wait until nothing is queued and nothing runs."""
        self._queue.audio.wait_until_empty()

    def close(self, *, drain: bool = True) -> None:
        """Finish the queue (without `drain`: cancel it), then free the model. Safe to call twice."""
        self.stop(drain=drain)
        self.join()

    def stop(self, *, drain: bool = True) -> None:
        """The first half of `close`, which waits for nothing."""
        self._queue.close(drain=drain)

    def join(self) -> None:
        """The second half: wait until the model is free."""
        for worker in self._workers:
            worker.join()

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.close(drain=kind is None)
