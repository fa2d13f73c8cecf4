"""From options to a running engine: find the model, load it, measure it, share out the budget."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import overtone
from overtone import checkpoints, config, costs, vad
from overtone.checkpoints import Checkpoint
from overtone.devices import check_offload, resolve_devices
from overtone.engine import Engine
from overtone.errors import BudgetError, DeviceError, OutOfMemory
from overtone.fleet import Fleet
from overtone.head import Head
from overtone.loaded import load
from overtone.memory import CostModel, format_size, memory_refusal
from overtone.options import Options
from overtone.plan import Plan, longest_segment, make_plan, needed_bytes, place_blocks
from overtone.resources import available_bytes, default_budget_bytes, rss_bytes, usable_cpus
from overtone.stages import OFF, Stages
from overtone.values import SAMPLE_RATE
from overtone.waiting import Waiting

if TYPE_CHECKING:
    from overtone.backends.base import LoadableBackend
    from overtone.backends.torch_offload import Offload
    from overtone.models.architecture import Architecture

_T = TypeVar("_T")

_MOST_DECODERS = 4
"""Decoding is some hundred times faster than a base model on one core; more would only hold more audio."""

_PROBED_S = 30.0
"""Seconds. Longest shape probed; what is longer follows from the fit."""

BATCH_S = {"cpu": 32.0, "cuda": 640.0}
"""Padded seconds of a batch where the user sets no cap. On a CPU more only costs memory (over an hour of speech `tiny`
ran as fast with 32 s as with 64 s); for a GPU it is not measured yet."""

_DEVICE_SHARE = 0.9
"""Share of a GPU's free memory that is the budget where none is given."""


@dataclass(frozen=True, slots=True, eq=False)
class Network:
    """What the pipelines need to know of the loaded network. Samples at 16 kHz."""

    name: str
    folder: Path
    hop: int
    shortest: int
    dim: int
    head: Head | None


@dataclass(frozen=True, slots=True)
class Beside:
    """What a process does beside feeding the engine from its decoders, and the plan is to leave room for.

    background, live: sources that are cut at the same time, of callers in the background and of live speech.
    held_bytes: of what else the process will hold, such as a cache.
    """

    background: int = 0
    live: int = 0
    held_bytes: int = 0


NOTHING = Beside()


@dataclass(frozen=True, slots=True, eq=False)
class Runtime:
    """An engine with its model, as `start` left it."""

    options: Options
    network: Network
    engine: Engine | Fleet
    device: str
    precision: str
    backend: str
    threads: int
    decoders: int
    beside: Beside = NOTHING

    @property
    def longest(self) -> int:
        """Samples of the longest segment that cutting gives: a cap on batches is a cap on segments."""
        return longest_segment(self.options.longest_s, self.options.batch_size_s)


def decoders_for(options: Options) -> int:
    """Sources decoded at once. Files that run whole are held whole, so one at a time."""
    # A process that decodes is driven by a thread.
    return 1 if options.whole else options.decoders or max(min(_MOST_DECODERS, usable_cpus()), options.decode_processes)


def start(options: Options, stages: Stages = OFF, beside: Beside = NOTHING) -> Runtime:
    """Load the model and start its engine. stages: what times it. beside: what else the process does.

    Raises the errors of finding and loading a model, DeviceError, and BudgetError if the budget cannot hold it: before
    the weights are read where they alone are too many, and with the measured numbers after.
    """
    checkpoint = checkpoints.find(options.model, hub=options.hub)
    threads = options.threads or usable_cpus()
    decoders = decoders_for(options)
    # PyTorch keeps a number of threads for each thread; this one is nobody's.
    engine, network = _aside(lambda: _start_all(options, checkpoint, threads, beside, stages))
    where = engine.device, engine.precision, engine.backend_name
    return Runtime(options, network, engine, *where, threads, decoders, beside)


def _start_all(
    options: Options, checkpoint: Checkpoint, threads: int, beside: Beside, stages: Stages
) -> tuple[Engine | Fleet, Network]:
    """An engine for each device asked for; if one cannot be started, none is."""
    waiting = Waiting()
    engines: list[Engine] = []
    devices = resolve_devices(options.device)
    if options.decode_processes and "cpu" in devices:
        raise DeviceError(
            "--decode-processes is for GPUs: on the CPU the model takes the time, and --memory bounds this process "
            "alone; leave it out."
        )
    with ExitStack() as undo:
        for device in devices:
            engine, network = _start(options.replace(device=device), checkpoint, threads, beside, (waiting, stages))
            undo.callback(engine.close, drain=False)
            engines.append(engine)
        undo.pop_all()
    return (Fleet(engines, waiting) if len(engines) > 1 else engine), network


def _start(
    options: Options, checkpoint: Checkpoint, threads: int, beside: Beside, shared: tuple[Waiting, Stages]
) -> tuple[Engine, Network]:
    device = options.device
    if options.offload:
        check_offload(device)
    budget = options.memory_bytes or (default_budget_bytes() if device == "cpu" else _free_on(device))
    _check_weights(budget, checkpoint, rss_bytes() if device == "cpu" else 0)
    with _refusals_told(checkpoint, device):
        loaded = load(checkpoint, options, device, threads)
        backend, architecture = loaded.backend, loaded.architecture
        backend.warm_up()
        cost = _cost(backend, architecture, options, threads)
    backend.trim()  # what probing left behind is not resident
    feeders = decoders_for(options) + beside.background + beside.live
    if loaded.offload is not None:
        _move_over(loaded.offload, options, budget - backend.used_bytes(), cost, feeders)
    used = backend.used_bytes() + (beside.held_bytes if device == "cpu" else 0)
    plan = _share_out(options, device, budget, used, cost, feeders)
    network = Network(
        checkpoint.name,
        checkpoint.folder,
        architecture.hop_samples,
        architecture.receptive_samples,
        architecture.embed_dim,
        loaded.head,
    )
    waiting, stages = shared
    return Engine(backend, plan, stages=stages, waiting=waiting), network


@contextmanager
def _refusals_told(checkpoint: Checkpoint, device: str) -> Iterator[None]:
    """BudgetError where the system or the device refuses memory before anything runs."""
    try:
        yield
    except (OutOfMemory, RuntimeError, MemoryError) as error:
        refusal = str(error) if isinstance(error, OutOfMemory) else memory_refusal(error)
        if refusal is None:
            raise
        raise BudgetError(
            f"{checkpoint.name} cannot be held on {device}: there was no memory to load it and try it out ({refusal}). "
            "Take a smaller model, or free memory."
        ) from None


def _cost(backend: LoadableBackend, architecture: Architecture, options: Options, threads: int) -> CostModel:
    """What batches cost here: recalled, or measured once for everything that it depends on."""
    longest = min(options.longest_s, _PROBED_S)
    versions = (backend.name, backend.version, overtone.__version__)
    key = (architecture, backend.device_name, backend.precision, threads, longest, options.whole, versions)
    return costs.recall(config.cache_folder(), key, lambda: backend.cost(longest))


def _share_out(options: Options, device: str, budget: int, used: int, cost: CostModel, feeders: int) -> Plan:
    """The plan of a run: the options' caps, and a default one where batches are not capped."""
    on_cpu = device == "cpu"
    return make_plan(
        budget_bytes=budget,
        # The VAD, loaded at the first long file, is counted from the start.
        resident_bytes=used + (vad.resident_bytes() if on_cpu else 0),
        cost=cost,
        longest_s=longest_segment(options.longest_s, options.batch_size_s) / SAMPLE_RATE,
        feeders=feeders,
        batch_s=options.batch_size_s or max(BATCH_S["cpu" if on_cpu else "cuda"], options.longest_s),
        threshold_s=options.batch_size_threshold_s,
    )


def _move_over(offload: Offload, options: Options, free_bytes: int, cost: CostModel, feeders: int) -> None:
    """Move so many blocks to the device as serve a run best; none where a single segment does not fit beside them."""
    longest_s = longest_segment(options.longest_s, options.batch_size_s) / SAMPLE_RATE
    placement = place_blocks(
        offload.block_bytes,
        options.device,
        spare_bytes=free_bytes - needed_bytes(0, cost, longest_s, feeders),
        cost=cost,
        longest_s=longest_s,
        batch_s=options.batch_size_s or BATCH_S["cuda"],
    )
    offload.keep(placement)


def _free_on(device: str) -> int:
    import torch

    from overtone.backends.torch_backend import CONTEXT_BYTES

    # Asking makes the context, so what is free is free beside it; what is in use counts it.
    free, _ = torch.cuda.mem_get_info(device)
    return int(free * _DEVICE_SHARE) + CONTEXT_BYTES


def _check_weights(budget: int, checkpoint: Checkpoint, held: int) -> None:
    """BudgetError if the weights alone are too many for the machine.

    Where the machine has room, they are read and measured, so that a refusal can name what would do exactly.
    """
    if held + checkpoint.weight_bytes > max(budget, held + available_bytes()):
        raise BudgetError(
            f"{checkpoint.name} cannot be held: its weights are {format_size(checkpoint.weight_bytes)}, and this "
            f"machine has {format_size(available_bytes())} left. Take a smaller model, or free memory."
        )


def _aside(work: Callable[[], _T]) -> _T:
    with ThreadPoolExecutor(1, thread_name_prefix="overtone-load") as pool:
        return pool.submit(work).result()
