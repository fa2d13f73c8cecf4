"""The loop of a device: one thread, the weights resident, batches across whoever submits.

take a batch; run it; on out-of-memory halve it and run again; hand each output to whoever waits for it
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import InvalidStateError
from contextlib import contextmanager, suppress
from dataclasses import replace

from overtone.backends.base import Backend
from overtone.batching.cost_model import Shape
from overtone.batching.fairness import PREEMPT_AFTER_S
from overtone.batching.memory_budget import MemoryBudget
from overtone.batching.memory_plan import SAFETY_MARGIN_BYTES, Plan
from overtone.batching.policy import BatchLimits, bucket, shape_of
from overtone.batching.queue import QueueItem, SegmentQueue
from overtone.engine.stats import EngineStats
from overtone.errors import BudgetError, Code, DeviceError, ModelError, OutOfMemory, OvertoneError
from overtone.models.task import Preempted
from overtone.system.memory import format_size
from overtone.system.profiler import NULL_PROFILER, Profiler
from overtone.system.semaphore import FifoSemaphore
from overtone.types import SAMPLE_RATE, Batch
from overtone.wording import param

_REGAINED = 1.02
"""Factor by which the ceiling that running out of memory left rises with every batch that fits: to twice as much in
35."""

_LOOSE_BYTES = 8 << 20
"""Bytes beyond the resident ones that may lie about between two batches before they are given back."""


class Worker:
    """The loop of one device: its thread takes batches from the queue, runs them, and halves what memory refuses.

    queue: shared by the workers of all devices. device_lock: lets in one; workers of other models on this device share
    it. The plan bounds audio in flight and the activations of a batch. cold: the model has not run yet, and its first
    batch takes memory that stays, for packed weights.
    """

    def __init__(
        self,
        backend: Backend,
        plan: Plan,
        queue: SegmentQueue,
        *,
        profiler: Profiler = NULL_PROFILER,
        device_lock: FifoSemaphore | None = None,
        cold: bool = False,
    ) -> None:
        self._cold = cold
        self._device_lock = FifoSemaphore(1) if device_lock is None else device_lock
        self._backend = backend
        self._plan = plan
        self._cost = plan.cost
        # Room for the largest batch that caps allow is enough: giving more back costs the time to take it again.
        self._trim_threshold = plan.largest_batch_bytes + SAFETY_MARGIN_BYTES - _LOOSE_BYTES
        self._ceiling = float(plan.budget_bytes)  # of a batch of several; lowered when memory runs out
        # What is being cut has not come to the engine yet; it is never the engine's to use.
        audio = plan.audio_bytes - plan.segmenter_bytes
        self._queue = queue
        self._queue.register(backend.device, audio, self._preempt)
        # Of a batch that may be preempted: when it began, and padded seconds.
        self._preemptible: tuple[float, float] | None = None
        self._preempting = threading.Lock()
        self._budget = MemoryBudget(
            plan.budget_bytes - plan.segmenter_bytes, audio, backend.memory.allocated, self._queue.audio
        )
        self.profiler = profiler
        self.stats = EngineStats()
        self._thread = threading.Thread(target=self._loop, name=f"overtone-{backend.device}", daemon=True)
        self._thread.start()

    @property
    def backend(self) -> Backend:
        """The backend that runs the batches."""
        return self._backend

    @property
    def device(self) -> str:
        """The device that it runs on."""
        return self._backend.device

    @property
    def backend_name(self) -> str:
        """The runtime."""
        return self._backend.name

    @property
    def precision(self) -> str:
        """The precision."""
        return self._backend.precision

    @property
    def peak_bytes(self) -> int:
        """The most that was in use on what the budget bounds."""
        return self._backend.memory.peak()

    @property
    def plan(self) -> Plan:
        """Its share of the budget."""
        return self._plan

    def _loop(self) -> None:
        batch: list[QueueItem] = []
        try:
            while self._wait():
                # Whoever shares this device comes in turns; what is in use is asked within one's own.
                with self._device_lock.hold(1):
                    if batch := self._take():
                        self._run(batch)
                # A future holds its request, and through that the pipeline, which could not be collected meanwhile.
                batch = []
        except Exception as error:  # noqa: BLE001 - a device that is gone, say: nobody may wait for ever
            self._fail(batch, error)
        finally:
            self._backend.close()

    def _fail(self, running: Sequence[QueueItem], error: Exception) -> None:
        """End the thread and fail what ran; items that wait fail only if no other device takes them."""
        reason = f"{self._backend.device} stopped working ({error!r})"
        waiting = self._queue.unregister(self._backend.device, reason)
        for items, code in ((running, Code.DIED), (waiting, Code.CLOSED)):  # what it died over may be among the first
            for item in items:
                with suppress(InvalidStateError):  # answered, or dropped meanwhile
                    item.future.set_exception(ModelError(f"{reason}; start anew.", code=code))

    def _wait(self) -> bool:
        """Wait for work; False once the engine is closed and drained."""
        began = self.profiler.begin()
        more = self._queue.wait()
        self.stats.idle_s += self.profiler.end("idle", began)
        return more

    def _take(self) -> list[QueueItem]:
        """Choose the next batch; empty where another device was faster."""
        began = self.profiler.begin()
        batch = self._queue.get_batch(self._limits())
        self.profiler.end("batch", began, f"{len(batch)} of {len(batch) + len(self._queue)}")
        return batch

    def _limits(self) -> BatchLimits:
        # Never more than was planned: what is free beyond it, the VAD or a result may yet take.
        room = min(self._room(self._trim_threshold) - SAFETY_MARGIN_BYTES, self._plan.batch_bytes, int(self._ceiling))
        return BatchLimits(room, self._cost, self._plan.batch_s, self._plan.threshold_s)

    def _room(self, wanted: int) -> int:
        """Bytes for the next batch; memory that is only kept for speed is given back if they fall short of `wanted`."""
        room = self._budget.available() + self._backend.memory.reclaimable()
        if room < wanted:
            self._backend.memory.trim()
            room = self._budget.available() + self._backend.memory.reclaimable()
        return room

    def _run(self, items: Sequence[QueueItem], notes: tuple[str, ...] = ()) -> None:
        """Run a batch, in halves if it does not fit, and answer every future in it."""
        started = self.profiler.begin()
        shape = shape_of([len(item) for item in items])
        try:
            self._check_room(shape)
            padded = bucket(max(len(item) for item in items))
            batch = Batch(tuple(item.samples for item in items), padded, items[0].decode_params)
            used, peak = self._backend.memory.allocated(), self._backend.memory.peak()
            with self._run_background(items, started, shape):
                outputs = self._backend.run(batch)
            if (reached := self._backend.memory.peak()) > peak and not self._cold:
                # A new peak is this batch's own, and tells what it took: the one measurement that costs nothing.
                self._cost = self._cost.with_margin(shape, reached - used)
                self.profiler.record_allocation("run", reached - used)
            self._cold = False
        except OutOfMemory as refusal:
            self.profiler.end("run", started, shape)
            self._halve(items, shape, refusal, notes)
            return
        except DeviceError:
            raise  # the device's end, and this thread's
        except Preempted:
            self.profiler.end("run", started, shape)
            self.stats.interrupted += 1
            self._queue.requeue(items)
            return
        except Exception as error:  # noqa: BLE001 - it belongs to those who wait, not to this thread
            self.profiler.end("run", started, shape)
            self._isolate_failure(items, error, notes)
            return
        elapsed = self.profiler.end("run", started, shape)
        self._ceiling = min(self._plan.budget_bytes, self._ceiling * _REGAINED)  # what took it may be gone
        audio = sum(len(item) for item in items)
        self._count(items, shape, elapsed)
        for item, output in zip(items, outputs, strict=True):
            share = elapsed * len(item) / audio
            told = (*output.notes, *notes, *self._queue.dead_devices)
            device = self._backend.device
            item.future.set_result(replace(output, wait_s=started - item.since, run_s=share, notes=told, device=device))

    @contextmanager
    def _run_background(self, items: Sequence[QueueItem], started: float, shape: Shape) -> Iterator[None]:
        """While the block runs, the batch can be preempted, if it was begun because nothing else waited."""
        with self._preempting:
            self._preemptible = (started, shape.padded_s) if all(item.preemptible for item in items) else None
        try:
            yield
        finally:
            with self._preempting:
                self._preemptible = None

    def _preempt(self) -> bool:
        """Interrupt what runs if somebody who has just come should not wait for it."""
        with self._preempting:
            if self._preemptible is None or not self.stats.run_s:
                return False
            began, padded_s = self._preemptible
            left_s = padded_s - (time.perf_counter() - began) * self.stats.padded_s / self.stats.run_s
            if left_s <= PREEMPT_AFTER_S:
                return False
            self._preemptible = None
            self._backend.preempt()
            return True

    def _check_room(self, shape: Shape) -> None:
        """A single segment larger than the budget leaves is refused before it is tried."""
        need = self._cost.predict(shape)
        short = need - self._room(need)
        if shape.rows > 1 or short <= 0:
            if self._budget.available() < need:
                # It fits if what is kept is used again, which it may not be: its pieces can be of other sizes.
                self._backend.memory.trim()
            return
        raise BudgetError(
            f"a segment of {shape.seconds:.1f} s needs {format_size(need)}, {format_size(short)} more than is left "
            f"of {format_size(self._plan.budget_bytes)}; give {self._plan.suggest_budget(short)}, or cut shorter with "
            f"{param('max_segment')} (or {param('window')})."
        )

    def _halve(self, items: Sequence[QueueItem], shape: Shape, refusal: OutOfMemory, notes: tuple[str, ...]) -> None:
        self.stats.splits += 1
        if len(items) == 1:
            error: OvertoneError = BudgetError(
                f"out of memory on {self._backend.device} with a single segment of {shape.seconds:.1f} s ({refusal}); "
                f"cut shorter with {param('max_segment')} (or {param('window')}), or take a smaller model."
            )
            items[0].future.set_exception(error)
            return
        # Whatever was predicted for this batch is more than there is.
        self._ceiling = min(self._ceiling, self._cost.predict(shape) * 0.9)
        note = f"out of memory with {shape} on {self._backend.device}: batch halved"
        if refusal.left_bytes:
            note += f"; {format_size(refusal.left_bytes)} of it were not given back"
        middle = len(items) // 2
        for half in (items[:middle], items[middle:]):
            self._run(half, (*notes, note))

    def _isolate_failure(self, items: Sequence[QueueItem], error: Exception, notes: tuple[str, ...]) -> None:
        """A batch failed, and not for want of memory: in halves, down to the one segment that it fails on."""
        if len(items) > 1:
            middle = len(items) // 2
            for half in (items[:middle], items[middle:]):
                self._run(half, notes)
            return
        # The traceback holds the batch, and an error is kept for as long as its result.
        items[0].future.set_exception(error.with_traceback(None))

    def _count(self, items: Sequence[QueueItem], shape: Shape, elapsed: float) -> None:
        self.stats.batches += 1
        self.stats.segments += len(items)
        self.stats.audio_s += sum(len(item) for item in items) / SAMPLE_RATE
        self.stats.padded_s += shape.padded_s
        self.stats.run_s += elapsed

    @property
    def on_worker_thread(self) -> bool:
        """True if the calling thread is this worker's."""
        return threading.current_thread() is self._thread

    def join(self) -> None:
        """Wait until the thread has ended and the model is free; the queue has to be closed."""
        if not self.on_worker_thread:
            self._thread.join()
