"""From options to running engines: find the models, load them, measure them, share out the budget."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from importlib import import_module
from typing import TypeVar

from overtone.audio.decoder_limits import PROCESS_BYTES, limits_for
from overtone.audio.decoder_pool import DecoderPool, DecoderPools
from overtone.audio.packet_decoder import PacketDecoder
from overtone.batching.memory_plan import Plan
from overtone.batching.queue import SegmentQueue
from overtone.engine.device_model import DeviceModel, device_budget
from overtone.engine.engine import Engine
from overtone.engine.model_instance import ModelInstance
from overtone.engine.worker import Worker
from overtone.errors import BudgetError
from overtone.models import checkpoints
from overtone.models.family import Role
from overtone.models.registry import check_role
from overtone.options.emotion import Options
from overtone.system.devices import resolve_devices
from overtone.system.machine import held_bytes, usable_cpus
from overtone.system.process_guard import ProcessGuard
from overtone.system.profiler import NULL_PROFILER, Profiler
from overtone.system.semaphore import FifoSemaphore

_T = TypeVar("_T")

_MOST_DECODERS = 4
"""Decoding is some hundred times faster than a base model on one core; more would only hold more audio."""


@dataclass(frozen=True, slots=True)
class ReservedCapacity:
    """Capacity to reserve for work outside the offline decoders: background jobs, live streams, caches.

    background, live: sources cut at the same time, of background jobs and of live speech. resident_bytes: of what else
    the process will hold, such as a cache. probes: headers read at the same time, beside the sources that are decoded.
    short: of the places where sources are decoded, those that only short ones may take while the others are taken; with
    any, a part of the audio in flight is kept for requests that have none there, too (`NEWCOMERS_SHARE`).
    """

    background: int = 0
    live: int = 0
    resident_bytes: int = 0
    probes: int = 0
    short: int = 0

    @property
    def serves(self) -> bool:
        """True for a service, whose first answer is not to wait for what the next ones need not."""
        return self.background > 0 or self.live > 0 or self.probes > 0


NO_RESERVE = ReservedCapacity()


@dataclass(frozen=True, slots=True, eq=False)
class Runtime:
    """Running models by their role, in one budget. role: of the main one, which `options` are for."""

    options: Options
    role: Role
    models: Mapping[Role, ModelInstance]
    threads: int
    decoders: int
    reserve: ReservedCapacity = NO_RESERVE
    decoder_pools: DecoderPools | None = None
    guard: ProcessGuard = field(default_factory=ProcessGuard)

    @property
    def model(self) -> ModelInstance:
        """The main model."""
        return self.models[self.role]

    @property
    def engine(self) -> Engine:
        """The main model's engine."""
        return self.model.engine

    @property
    def auxiliary(self) -> Mapping[Role, ModelInstance]:
        """All other models."""
        return {role: model for role, model in self.models.items() if role != self.role}

    @property
    def max_segment_samples(self) -> int:
        """Samples of the longest segment that cutting gives."""
        return self.options.longest_samples

    @property
    def held_bytes(self) -> int:
        """Resident memory of this process, and of those that decode for it."""
        return held_bytes(() if self.decoder_pools is None else self.decoder_pools.pids)

    def decoder_pool(self, *, background: bool = False) -> DecoderPool | None:
        """The processes that decode for a source; None where threads do."""
        pools = self.decoder_pools
        return None if pools is None else pools.background if background else pools.foreground

    @property
    def packet_decoder(self) -> PacketDecoder | None:
        """The process that decodes packets of live streams; None where this one does."""
        return None if self.decoder_pools is None else self.decoder_pools.packets

    def for_role(self, role: Role, options: Options) -> Runtime:
        """One of the other models as the main one, for a separate pipeline; closing that leaves this one running.

        options: those that it was started with.
        """
        return replace(self, options=options, role=role, models={role: self.models[role]})

    def renamed(self, names: Mapping[Role, str]) -> Runtime:
        """The same running models, some of them called otherwise."""
        models = {
            role: replace(model, name=names[role]) if role in names else model for role, model in self.models.items()
        }
        return replace(self, models=models)

    def close(self, *, drain: bool = True) -> None:
        """Finish the queue (without `drain`: drop it), free every model and end the processes that decode.

        Does nothing in a fork, whose copies the threads and processes of the first process have no part in.
        """
        if self.guard.forked:
            return
        if self.decoder_pools is not None:
            self.decoder_pools.close()
        engines = [model.engine for model in self.models.values()]
        for engine in engines:
            engine.stop(drain=drain)
        # A pipeline may be let go of in the thread of one of them, for whose turn another waits.
        if not any(engine.on_worker_thread for engine in engines):
            for engine in engines:
                engine.join()


def decoder_count(options: Options, reserve: ReservedCapacity = NO_RESERVE) -> int:
    """Sources decoded at once; at least one beside those places that are for short ones. Files that run whole are held
    whole, so one at a time."""
    wanted = 1 if options.whole else options.decoders or min(_MOST_DECODERS, usable_cpus())
    return max(wanted, 1 + reserve.short)


def decoder_pools(options: Options, reserve: ReservedCapacity) -> DecoderPools | None:
    """The processes that decode, none of them started yet; None where threads do."""
    if options.decode == "threads":
        return None
    limits = limits_for(options.memory_bytes)
    return DecoderPools(
        decoder_count(options, reserve),
        reserve.probes,
        background=reserve.background > 0,
        live=reserve.live > 0,
        limits=limits,
    )


def single_decoder(options: Options) -> DecoderPool | None:
    """A process that decodes one source after the other, not started yet; None where threads decode."""
    return None if options.decode == "threads" else DecoderPool(1, limits_for(options.memory_bytes))


def start(
    options: Options,
    profiler: Profiler = NULL_PROFILER,
    reserve: ReservedCapacity = NO_RESERVE,
    *,
    role: Role = "emotion",
    more: Mapping[Role, Options] | None = None,
) -> Runtime:
    """Load the model and start its engine. profiler: what times it. reserve: capacity for what else the process does.

    role: what the model is for. more: options of further models that are given the same segments, by what they are for;
    all share one budget, and those on one device take turns.

    Raises the errors of finding and loading a model, DeviceError, and BudgetError if the budget cannot hold it: before
    the weights are read where they alone are too many, and with the measured numbers after.
    """
    if options.decode == "threads":
        import_module("av")  # FFmpeg is resident before the budget is shared out
    wanted = {role: options, **(more or {})}
    threads = options.threads or usable_cpus()
    with ExitStack() as undo:
        if (pools := decoder_pools(options, reserve)) is not None:
            undo.callback(pools.close)
            pools.start()  # while the model loads
        # PyTorch keeps a number of threads for each thread; this one is nobody's.
        instances = _in_thread(lambda: _load_models(wanted, threads, reserve, profiler, pools))
        undo.pop_all()
    return Runtime(options, role, instances, threads, decoder_count(options, reserve), reserve, pools)


def _load_models(
    wanted: Mapping[Role, Options],
    threads: int,
    reserve: ReservedCapacity,
    profiler: Profiler,
    pools: DecoderPools | None,
) -> dict[Role, ModelInstance]:
    """Every model on every device asked for; if one cannot be started, none is."""
    budgets: dict[str, int] = {}
    with ExitStack() as undo:
        device_models: dict[Role, list[DeviceModel]] = {}
        for role, options in wanted.items():
            checkpoint = checkpoints.find(options.model, hub=options.hub)
            check_role(checkpoint, role)
            for device in resolve_devices(options.device):
                budgets.setdefault(device, device_budget(options, device))
                beside = PROCESS_BYTES if pools is not None and device == "cpu" else 0
                model = DeviceModel(
                    options.replace(device=device),
                    checkpoint,
                    threads,
                    budgets[device],
                    beside,
                    warm_up=reserve.serves,
                )
                undo.callback(model.close)
                device_models.setdefault(role, []).append(model)
        # Planned once all are loaded: what one of them holds, another cannot have.
        everything = [model for its in device_models.values() for model in its]
        plans = _plans(everything, reserve, pools)
        undo.pop_all()
    locks = {device: FifoSemaphore(1) for device in budgets}
    instances: dict[Role, ModelInstance] = {}
    for role, its in device_models.items():
        queue = SegmentQueue(shared=reserve.short > 0)
        workers = [
            Worker(
                model.backend,
                plans[model],
                queue,
                profiler=profiler,
                device_lock=locks[model.device],
                cold=model.cold,
            )
            for model in its
        ]
        name, engine = checkpoints.name_of(wanted[role].model), Engine(workers, queue)
        instances[role] = ModelInstance(name, its[0].checkpoint.folder, its[0].backend.task, engine)
    return instances


def _plans(
    everything: Sequence[DeviceModel], reserve: ReservedCapacity, pools: DecoderPools | None
) -> dict[DeviceModel, Plan]:
    """A plan for each model. BudgetError of the one that needs most, so that its number does for all.

    Models that have not run yet are run first, unless there is room for their weights twice beside the largest batch:
    as they are in files, and packed.
    """
    if cold := [model for model in everything if model.cold]:
        unpacked_bytes = sum(model.checkpoint.weight_bytes for model in cold)
        with suppress(BudgetError):
            plans = {model: _plan(model, everything, reserve, pools) for model in everything}
            if all(plan.budget_bytes - plan.planned_bytes >= unpacked_bytes for plan in plans.values()):
                return plans
        for model in cold:
            model.warm_up()
    plans, refusals = {}, []
    for model in everything:
        try:
            plans[model] = _plan(model, everything, reserve, pools)
        except BudgetError as error:
            refusals.append(error)
    if refusals:
        raise max(refusals, key=lambda error: error.enough_bytes)
    return plans


def _plan(
    model: DeviceModel, everything: Sequence[DeviceModel], reserve: ReservedCapacity, pools: DecoderPools | None
) -> Plan:
    producers = decoder_count(model.options, reserve) + reserve.background + reserve.live
    others = (other for other in everything if other is not model and other.device == model.device)
    beside = sum(other.in_flight_audio_bytes(producers) + other.unpacked_bytes for other in others)
    held_bytes = reserve.resident_bytes + beside
    if pools is None:
        return model.plan(producers, held_bytes)
    decoding_bytes = pools.planned_bytes()
    return model.plan(
        producers,
        held_bytes + decoding_bytes,
        growth=lambda budget: pools.planned_bytes(limits_for(budget)) - decoding_bytes,
    )


def _in_thread(work: Callable[[], _T]) -> _T:
    with ThreadPoolExecutor(1, thread_name_prefix="overtone-load") as pool:
        return pool.submit(work).result()
