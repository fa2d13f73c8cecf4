"""The graphs of one model in the runtime that runs them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from overtone.backends.memory import DeviceMemory
from overtone.batching.cost_model import Shape
from overtone.models.task import Array

_T = TypeVar("_T")


class OffloadedBlocks(Protocol):
    """Blocks of a network that wait in host memory."""

    @property
    def block_bytes(self) -> Mapping[str, int]:
        """Bytes of weights of every block, in the order in which they run."""

    def place(self, placement: Mapping[str, str]) -> None:
        """Move blocks to a device for good; placement: device by block, `cpu` for those that wait."""


class Graphs(Protocol):
    """Graphs loaded by OpenVINO or PyTorch, for `TaskBackend`. Used by one thread at a time."""

    @property
    def name(self) -> str:
        """The runtime, as results name it: `openvino`, `torch`."""

    @property
    def version(self) -> str:
        """Version of the runtime."""

    @property
    def device(self) -> str:
        """The device, as results name it."""

    @property
    def hardware(self) -> str:
        """The device's own name, and how it is used as far as a cost depends on it."""

    @property
    def precision(self) -> str:
        """The precision, as results name it."""

    @property
    def memory(self) -> DeviceMemory:
        """The memory that the budget bounds."""

    @property
    def quadratic(self) -> bool:
        """True if attention takes memory that grows with the square of the length."""

    @property
    def fixed_bytes(self) -> int:
        """Bytes that a batch may take beyond what the shapes that are measured show."""

    @property
    def warm_up(self) -> Sequence[Shape]:
        """Batches for which the runtime compiles separate kernels."""

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes for every result, such as what offloading costs."""

    @property
    def offload(self) -> OffloadedBlocks | None:
        """Blocks in host memory; None unless that was asked for."""

    def run(self, graph: str, inputs: Mapping[str, Any]) -> Mapping[str, Array]:
        """Outputs of a graph by name; see `RunGraph`."""

    def guard(self, function: Callable[[], _T]) -> _T:
        """The value of a function that runs graphs. Raises OutOfMemory, with nothing kept, where the runtime is refused
        memory."""

    def preempt(self) -> None:
        """Have what runs end with `Preempted` where that can still be done soon. Called by other threads."""

    def close(self) -> None:
        """Free them."""
