"""From options to running engines: find the models, load them, measure them, share out the budget."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TypeVar

from overtone.batching.memory_plan import Plan
from overtone.batching.policy import longest_segment
from overtone.batching.queue import SegmentQueue
from overtone.engine.engine import Engine
from overtone.engine.model_instance import ModelInfo, ModelInstance, device_budget
from overtone.engine.worker import Worker
from overtone.errors import DeviceError
from overtone.models import checkpoints
from overtone.models.registry import Role, check_role
from overtone.options.emotion import Options
from overtone.system.devices import resolve_devices
from overtone.system.machine import usable_cpus
from overtone.system.profiler import NULL_PROFILER, Profiler
from overtone.system.semaphore import ByteSemaphore

_T = TypeVar("_T")

_MOST_DECODERS = 4
"""Decoding is some hundred times faster than a base model on one core; more would only hold more audio."""


@dataclass(frozen=True, slots=True)
class ReservedCapacity:
    """Capacity to reserve for work outside the offline decoders: background jobs, live streams, caches.

    background, live: sources cut at the same time, of background jobs and of live speech. resident_bytes: of what else
    the process will hold, such as a cache.
    """

    background: int = 0
    live: int = 0
    resident_bytes: int = 0


NO_RESERVE = ReservedCapacity()


@dataclass(frozen=True, slots=True, eq=False)
class ServedModel:
    """One model with the engine that runs it."""

    network: ModelInfo
    engine: Engine


@dataclass(frozen=True, slots=True, eq=False)
class Runtime:
    """Running models: the main one with its engine, and auxiliary ones in the same budget by their role."""

    options: Options
    network: ModelInfo
    engine: Engine
    device: str
    precision: str
    backend: str
    threads: int
    decoders: int
    reserve: ReservedCapacity = NO_RESERVE
    auxiliary: Mapping[Role, ServedModel] = field(default_factory=dict)

    @property
    def max_segment_samples(self) -> int:
        """Samples of the longest segment that cutting gives: a cap on batches is a cap on segments."""
        return longest_segment(self.options.longest_s, self.options.batch_size_s)

    def for_role(self, role: Role, options: Options) -> Runtime:
        """One of the other models, as a pipeline of its own is given it; closing that leaves this one running.

        options: those that it was started with.
        """
        unit = self.auxiliary[role]
        where = unit.engine.device, unit.engine.precision, unit.engine.backend_name
        return Runtime(options, unit.network, unit.engine, *where, self.threads, self.decoders, self.reserve)

    def close(self, *, drain: bool = True) -> None:
        """Finish what is queued (without `drain`: drop it) and free every model."""
        engines = (self.engine, *(unit.engine for unit in self.auxiliary.values()))
        for engine in engines:
            engine.stop(drain=drain)
        # A pipeline may be let go of in the thread of one of them, for whose turn another waits.
        if not any(engine.on_worker_thread for engine in engines):
            for engine in engines:
                engine.join()


def decoder_count(options: Options) -> int:
    """Sources decoded at once. Files that run whole are held whole, so one at a time."""
    # A process that decodes is driven by a thread.
    return 1 if options.whole else options.decoders or max(min(_MOST_DECODERS, usable_cpus()), options.decode_processes)


def start(
    options: Options,
    stages: Profiler = NULL_PROFILER,
    reserve: ReservedCapacity = NO_RESERVE,
    *,
    role: Role = "emotion",
    more: Mapping[Role, Options] | None = None,
) -> Runtime:
    """Load the model and start its engine. stages: what times it. reserve: capacity for what else the process does.

    role: what the model is for. more: options of further models that are given the same segments, by what they are for;
    all share one budget, and those on one device take turns.

    Raises the errors of finding and loading a model, DeviceError, and BudgetError if the budget cannot hold it: before
    the weights are read where they alone are too many, and with the measured numbers after.
    """
    wanted = {role: options, **(more or {})}
    threads = options.threads or usable_cpus()
    # PyTorch keeps a number of threads for each thread; this one is nobody's.
    units = _in_thread(lambda: _load_models(wanted, threads, reserve, stages))
    main = units.pop(role)
    engine = main.engine
    where = engine.device, engine.precision, engine.backend_name
    return Runtime(options, main.network, engine, *where, threads, decoder_count(options), reserve, units)


def _load_models(
    wanted: Mapping[Role, Options], threads: int, reserve: ReservedCapacity, stages: Profiler
) -> dict[Role, ServedModel]:
    """Every model on every device asked for; if one cannot be started, none is."""
    budgets: dict[str, int] = {}
    with ExitStack() as undo:
        parts: dict[Role, list[ModelInstance]] = {}
        for role, options in wanted.items():
            checkpoint = checkpoints.find(options.model, hub=options.hub)
            check_role(checkpoint, role)
            for device in _devices(options):
                budgets.setdefault(device, device_budget(options, device))
                part = ModelInstance(options.replace(device=device), checkpoint, threads, budgets[device])
                undo.callback(part.close)
                parts.setdefault(role, []).append(part)
        # Planned once all are loaded: what one of them holds, another cannot have.
        everything = [part for its in parts.values() for part in its]
        plans = {part: _plan(part, everything, reserve) for part in everything}
        undo.pop_all()
    locks = {device: ByteSemaphore(1) for device in budgets}
    units: dict[Role, ServedModel] = {}
    for role, its in parts.items():
        queue = SegmentQueue()
        workers = [
            Worker(part.backend, plans[part], queue, stages=stages, device_lock=locks[part.device]) for part in its
        ]
        units[role] = ServedModel(its[0].network, Engine(workers, queue))
    return units


def _devices(options: Options) -> list[str]:
    devices = resolve_devices(options.device)
    if options.decode_processes and "cpu" in devices:
        raise DeviceError(
            "--decode-processes is for GPUs: on the CPU the model takes the time, and --memory bounds this process "
            "alone; leave it out."
        )
    return devices


def _plan(part: ModelInstance, everything: Sequence[ModelInstance], reserve: ReservedCapacity) -> Plan:
    producers = decoder_count(part.options) + reserve.background + reserve.live
    others = (other for other in everything if other is not part and other.device == part.device)
    return part.plan(
        producers, reserve.resident_bytes + sum(other.in_flight_audio_bytes(producers) for other in others)
    )


def _in_thread(work: Callable[[], _T]) -> _T:
    with ThreadPoolExecutor(1, thread_name_prefix="overtone-load") as pool:
        return pool.submit(work).result()
