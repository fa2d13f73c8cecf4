"""A model on one device: loaded, measured, and given its share of that device's budget."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import overtone
from overtone.batching import cost_cache
from overtone.batching.memory_plan import (
    Growth,
    Plan,
    make_plan,
    min_audio_bytes,
    needed_bytes,
    no_growth,
    plan_offload,
)
from overtone.batching.weights_budget import LoadingBudget
from overtone.engine.loader import load
from overtone.errors import BudgetError, OutOfMemory
from overtone.models.checkpoints import Checkpoint
from overtone.options import loading
from overtone.options.emotion import Options
from overtone.segmentation import silero_vad
from overtone.system.devices import check_offload
from overtone.system.machine import default_budget_bytes, rss_bytes
from overtone.system.memory import check_address_space, memory_refusal, memory_remedy

_PROBED_S = 30.0
"""Seconds. Longest shape probed; longer ones follow from the fit."""

BATCH_S = {"cpu": 32.0, "cuda": 640.0}
"""Padded seconds of a batch where the user sets no cap. On a CPU more only costs memory (over an hour of speech `tiny`
ran as fast with 32 s as with 64 s); for a GPU it is not measured yet."""

_DEVICE_SHARE = 0.9
"""Share of a GPU's free memory that is the budget where none is given."""


class DeviceModel:
    """A model loaded and measured for the one device of its options; `close` it, or hand its backend to an engine.

    threads: of the model on a CPU. budget: of the device, see `device_budget`. beside_bytes: of it, held by
    other processes while it is loaded. warm_up: run it before anything else is; otherwise, on a CPU, the first batch
    packs the weights, if what the model takes then is known from before.
    Raises the errors of loading a model, DeviceError, and BudgetError where it cannot be held.
    """

    def __init__(
        self,
        options: Options,
        checkpoint: Checkpoint,
        threads: int,
        budget: int,
        beside_bytes: int = 0,
        *,
        warm_up: bool = True,
    ) -> None:
        self.options, self.checkpoint, self.device = options, checkpoint, options.device
        self._threads, self._budget = threads, budget
        if options.offload:
            check_offload(self.device)
        check_address_space(checkpoint.weight_bytes, threads)
        on_cpu = self.device == "cpu"
        before = rss_bytes() if on_cpu else 0
        with _map_memory_errors(checkpoint, self.device):
            self.backend = load(checkpoint, options, self.device, threads, budget=LoadingBudget(budget, beside_bytes))
            folder, key = loading.cache_folder(), self._cost_key()
            known = cost_cache.load(folder, key)
            self.cold = on_cpu and known is not None and not warm_up
            """True until it has run: its weights are not packed, which `unpacked_bytes` are for."""
            if not self.cold:
                self.backend.warm_up()
            self._cost = self.backend.cost(self._longest_probed_s) if known is None else known.cost
        self.backend.memory.trim()  # what probing left behind is not resident
        held = self.backend.memory.allocated()
        if known is None:
            known = cost_cache.MeasuredCost(self._cost, max(0, held - before))
            cost_cache.keep(folder, key, known)
        self.unpacked_bytes = max(0, before + known.resident_bytes - held) if self.cold else 0
        """Bytes that will be resident once it has run, and are not yet."""

    def warm_up(self) -> None:
        """Run it, where it has not run yet. BudgetError where there is no memory for that."""
        if self.cold:
            with _map_memory_errors(self.checkpoint, self.device):
                self.backend.warm_up()
            self.backend.memory.trim()
            self.cold, self.unpacked_bytes = False, 0

    def in_flight_audio_bytes(self, producers: int) -> int:
        """Least bytes of audio that are on their way to it, cut by so many."""
        return min_audio_bytes(self.options.longest_s, producers)

    @property
    def _longest_probed_s(self) -> float:
        return min(self.options.longest_s, _PROBED_S)

    def _cost_key(self) -> tuple[object, ...]:
        """Everything that what it takes depends on."""
        backend = self.backend
        versions = (backend.name, backend.version, overtone.__version__)
        return (
            (self.checkpoint.kind, self.checkpoint.text("config.yaml")),
            backend.device_name,
            backend.precision,
            self._threads,
            self._longest_probed_s,
            self.options.whole,
            versions,
        )

    def plan(self, producers: int, held_bytes: int, growth: Growth = no_growth) -> Plan:
        """Its share of the budget: what the options' caps allow, and a default cap where batches are not capped.

        producers: sources that are cut for it at once. held_bytes: what else this process is to have room for.
        growth: of these in another budget. Call it once all that shares the device is loaded.
        """
        self._apply_offload(producers)
        on_cpu, options = self.device == "cpu", self.options
        # The VAD is loaded once the models are, and counted before.
        reserve = held_bytes + silero_vad.resident_bytes() if on_cpu else 0
        return make_plan(
            budget_bytes=self._budget,
            resident_bytes=self.backend.memory.allocated() + self.unpacked_bytes + reserve,
            cost=self._cost,
            longest_s=options.longest_s,
            producers=producers,
            batch_s=options.batch_size_s or max(BATCH_S["cpu" if on_cpu else "cuda"], options.longest_s),
            threshold_s=options.batch_size_threshold_s,
            growth=growth,
        )

    def _apply_offload(self, producers: int) -> None:
        """Move so many blocks to the device as serve a run best; none where a single segment does not fit beside
        them."""
        if (offload := self.backend.graphs.offload) is None:
            return
        free_bytes = self._budget - self.backend.memory.allocated()
        placement = plan_offload(
            offload.block_bytes,
            self.device,
            spare_bytes=free_bytes - needed_bytes(0, self._cost, self.options.longest_s, producers),
            cost=self._cost,
            longest_s=self.options.longest_s,
            batch_s=self.options.batch_size_s or BATCH_S["cuda"],
        )
        offload.place(placement)

    def close(self) -> None:
        """Free it."""
        self.backend.close()


def device_budget(options: Options, device: str) -> int:
    """Bytes that this process may hold on a device: the budget given, or most of the memory that is free before
    anything is loaded."""
    if options.memory_bytes is not None:
        return options.memory_bytes
    if device == "cpu":
        return default_budget_bytes()
    import torch

    from overtone.backends.torch.memory import CONTEXT_BYTES

    # Asking makes the context, so what is free is free beside it; what is in use counts it.
    free, _ = torch.cuda.mem_get_info(device)
    return int(free * _DEVICE_SHARE) + CONTEXT_BYTES


@contextmanager
def _map_memory_errors(checkpoint: Checkpoint, device: str) -> Iterator[None]:
    """BudgetError where the system or the device refuses memory before anything runs."""
    try:
        yield
    except (OutOfMemory, RuntimeError, MemoryError) as error:
        refusal = str(error) if isinstance(error, OutOfMemory) else memory_refusal(error)
        if refusal is None:
            raise
        raise BudgetError(
            f"{checkpoint.name} cannot be held on {device}: there was no memory to load it and try it out ({refusal}). "
            f"Take a smaller model. {memory_remedy()}"
        ) from None
