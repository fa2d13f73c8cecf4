"""The graphs of one model in the runtime that runs them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol, TypeVar

from overtone.models.task import Array
from overtone.types import Batch

_T = TypeVar("_T")


class Graphs(Protocol):
    """What a `TaskBackend` asks of OpenVINO or PyTorch. Used by one thread at a time."""

    @property
    def name(self) -> str:
        """What runs them, as results name it: `openvino`, `torch`."""

    @property
    def version(self) -> str:
        """Of the runtime."""

    @property
    def device(self) -> str:
        """Where they run, as results name it."""

    @property
    def hardware(self) -> str:
        """The device's own name."""

    @property
    def precision(self) -> str:
        """In what they run, as results name it."""

    def run(self, graph: str, inputs: Mapping[str, Array]) -> Mapping[str, Array]:
        """See `RunGraph`."""

    def guard(self, work: Callable[[], _T]) -> _T:
        """Do `work`, which runs graphs. Raises OutOfMemory, with nothing kept, where the runtime is refused memory."""

    def probe(self, run: Callable[[Batch], object], batch: Batch) -> int:
        """Peak bytes that running a batch took on top of what was held before it."""

    def allocated_bytes(self) -> int:
        """See Backend."""

    def reclaimable_bytes(self) -> int:
        """See Backend."""

    def peak_bytes(self) -> int:
        """See Backend."""

    def trim(self) -> None:
        """See Backend."""

    def close(self) -> None:
        """Free them."""
