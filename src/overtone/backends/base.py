"""What the engine asks of a runtime, and a stand-in that runs out of memory when told to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from overtone.batching.cost_model import CostModel
from overtone.types import Batch, ModelOutput


class Preempted(Exception):  # noqa: N818 - no error: it was asked for
    """A batch was interrupted; nothing of it was kept."""


class Backend(Protocol):
    """One model, resident on one device. Used by one thread at a time, the engine's."""

    @property
    def name(self) -> str:
        """What runs it, as results name it: `openvino`, `torch`."""

    @property
    def device(self) -> str:
        """Where it runs, as results name it: `cpu`, `cuda:0`."""

    @property
    def precision(self) -> str:
        """In what it runs, as results name it: `fp32`, `bf16`."""

    def run(self, batch: Batch) -> Sequence[ModelOutput]:
        """One output per waveform, in order. Raises OutOfMemory, with nothing kept, where the batch does not fit."""

    def preempt(self) -> None:
        """Have `run` end with `Preempted` where that can still be done soon. Called by other threads."""

    def allocated_bytes(self) -> int:
        """Bytes in use now on what the budget bounds: the process on a CPU, the device on a GPU."""

    def reclaimable_bytes(self) -> int:
        """Bytes of `allocated_bytes` that are only kept for the next batch to use; 0 where nobody can tell."""

    def peak_bytes(self) -> int:
        """The highest that `allocated_bytes` has been; only ever grows."""

    def cost(self, longest_s: float) -> CostModel:
        """What batches cost, measured by running some shapes up to `longest_s` seconds."""

    def trim(self) -> None:
        """Give memory that is only kept for speed back to the system."""

    def close(self) -> None:
        """Free the model."""


class LoadableBackend(Backend, Protocol):
    """A backend as it is loaded and measured, before the engine has it."""

    @property
    def version(self) -> str:
        """Of the runtime."""

    @property
    def device_name(self) -> str:
        """The hardware's own name, as far as a cost depends on it."""

    def warm_up(self) -> None:
        """Run a second of noise, so that weights are resident and kernels chosen before anything is measured."""
