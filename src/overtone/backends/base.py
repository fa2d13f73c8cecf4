"""The protocol of a model that is loaded on a device, as the engine runs it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from overtone.backends.memory import DeviceMemory
from overtone.batching.cost_model import CostModel
from overtone.types import Batch, ModelOutput


class Backend(Protocol):
    """One model, resident on one device. Used by one thread at a time, the engine's."""

    @property
    def name(self) -> str:
        """The runtime, as results name it: `openvino`, `torch`."""

    @property
    def device(self) -> str:
        """The device, as results name it: `cpu`, `cuda:0`."""

    @property
    def precision(self) -> str:
        """The precision, as results name it: `fp32`, `bf16`."""

    @property
    def memory(self) -> DeviceMemory:
        """The memory that the budget bounds."""

    def run(self, batch: Batch) -> Sequence[ModelOutput]:
        """One output per waveform, in order. Raises OutOfMemory, with nothing kept, where the batch does not fit."""

    def preempt(self) -> None:
        """Have `run` end with `Preempted` where that can still be done soon. Called by other threads."""

    def cost(self, longest_s: float) -> CostModel:
        """Cost of batches, measured by running some shapes up to `longest_s` seconds."""

    def close(self) -> None:
        """Free the model."""
