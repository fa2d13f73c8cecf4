"""A model's graphs through PyTorch, on the CPU or a CUDA device."""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TypeVar

import torch

from overtone.backends.torch.device import TorchDevice
from overtone.models.graph import Graph
from overtone.models.task import Array
from overtone.types import Batch

_T = TypeVar("_T")


class TorchGraphs:
    """See `Graphs`. graphs: by name, with their weights. Others as for `TorchDevice`."""

    name = "torch"

    def __init__(self, graphs: Mapping[str, Graph], *, device: str, precision: str, threads: int) -> None:
        self._device = TorchDevice(device, precision, threads)
        self.device, self.precision = device, precision
        self.version, self.hardware = str(torch.__version__), self._device.hardware
        self._graphs = {name: graph.to(device=device, dtype=self._device.dtype) for name, graph in graphs.items()}

    def run(self, graph: str, inputs: Mapping[str, Array]) -> Mapping[str, Array]:
        """See Graphs."""
        network = self._graphs[graph]
        given = [self._up(inputs[name]) for name in network.inputs]
        with torch.inference_mode():
            found = network(*given)
        return {
            name: (value.float() if value.is_floating_point() else value).cpu().numpy()
            for name, value in zip(network.outputs, found, strict=True)
        }

    def _up(self, array: Array) -> torch.Tensor:
        tensor = torch.from_numpy(array).to(self.device)
        return tensor.to(self._device.dtype) if tensor.is_floating_point() else tensor

    def guard(self, work: Callable[[], _T]) -> _T:
        """See Graphs; DeviceError where the device answers no more."""
        return self._device.run(work)

    def probe(self, run: Callable[[Batch], object], batch: Batch) -> int:
        """See Graphs."""
        return self._device.probe(run, batch)

    def allocated_bytes(self) -> int:
        """See Graphs."""
        return self._device.allocated_bytes()

    def reclaimable_bytes(self) -> int:
        """See Graphs."""
        return self._device.reclaimable_bytes()

    def peak_bytes(self) -> int:
        """See Graphs."""
        return self._device.peak_bytes()

    def trim(self) -> None:
        """See Graphs."""
        self._device.trim()

    def close(self) -> None:
        """See Graphs."""
        self._graphs.clear()
        gc.collect()
        with suppress(RuntimeError):  # of a device that answers no more
            self.trim()
