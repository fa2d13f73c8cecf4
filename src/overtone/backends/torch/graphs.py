"""A model's graphs through PyTorch, on the CPU or a CUDA device."""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeVar, cast

import numpy as np
import torch
from torch import nn

from overtone.backends.memory import DeviceMemory
from overtone.backends.torch.device import TorchDevice
from overtone.backends.torch.offload import Offload
from overtone.backends.torch.transfer import Transfer
from overtone.batching.cost_model import Shape
from overtone.models.graph import Graph
from overtone.models.layers.attention_kernel import AttentionKernel
from overtone.models.task import Array, Ragged

_T = TypeVar("_T")


class DeviceArray:
    """An output that stays on the device. Another graph takes it as it is; `numpy.asarray` copies it, as float32."""

    def __init__(self, tensor: torch.Tensor, transfer: Transfer) -> None:
        self.tensor, self._transfer = tensor, transfer

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return np.array(self._transfer.down([self.tensor.float()])[0], dtype=dtype)


class TorchGraphs:
    """`Graphs` of a published model. Used from a thread whose number of PyTorch threads is ours to set.

    graphs: by name, with their weights, on the CPU. threads: PyTorch's own on a CPU, set in the thread that calls, and
    no other. offload: the blocks that there are stay in host memory until `Offload.place` moves them.
    Raises DeviceError for a device or precision that is not to be had.
    """

    name = "torch"

    def __init__(
        self, graphs: Mapping[str, Graph], *, device: str, precision: str, threads: int, offload: bool = False
    ) -> None:
        self._device = TorchDevice(device, precision, threads)
        self.device, self.precision, self.version = device, precision, str(torch.__version__)
        self._graphs = dict(graphs)
        self._transfer = Transfer(device)
        network = nn.ModuleList(graphs.values())
        self.offload: Offload | None = None
        if offload:
            blocks = {name: block for graph in graphs.values() for name, block in graph.blocks.items()}
            self.offload = Offload(network.to(dtype=self._device.dtype), blocks, device)
        else:
            network.to(device=device, dtype=self._device.dtype)
        for graph in graphs.values():
            graph.prepare(device, self._device.dtype)

    @property
    def kernel(self) -> AttentionKernel | None:
        """The kernel that computes attention in linear memory; None where no graph has one."""
        return next((graph.kernel for graph in self._graphs.values() if graph.kernel is not None), None)

    @property
    def memory(self) -> DeviceMemory:
        """The process on a CPU, the device on a GPU."""
        return self._device.memory

    @property
    def hardware(self) -> str:
        """The device's own name, and how it is used as far as a cost depends on it."""
        if self._device.on_cpu or self.kernel is None:
            return self._device.hardware
        weights = "" if self.offload is None else ", offloaded"
        return f"{self._device.hardware}, {self.kernel.name}{weights}"

    @property
    def quadratic(self) -> bool:
        """True if attention takes memory that grows with the square of the length."""
        return self.kernel is None

    @property
    def fixed_bytes(self) -> int:
        """Bytes that attention may take beyond what short audio shows."""
        return 0 if self.kernel is None else self.kernel.fixed_bytes

    @property
    def warm_up(self) -> Sequence[Shape]:
        """Batches for which attention is compiled apart."""
        return () if self.kernel is None else self.kernel.warm_up

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes on anything unusual about how this runs."""
        offloaded = () if self.offload is None else self.offload.notes()
        return offloaded if self.kernel is None else (*offloaded, *self.kernel.notes)

    def run(self, graph: str, inputs: Mapping[str, Any]) -> Mapping[str, Array]:
        """Outputs of a graph by name."""
        network = self._graphs[graph]
        with torch.inference_mode():
            found = network.call(inputs, self._upload)
        return {name: self._output(value, resident=name in network.resident) for name, value in found.items()}

    def _upload(
        self, value: Array | Ragged | DeviceArray, stage: Callable[[torch.Tensor], torch.Tensor] | None = None
    ) -> torch.Tensor:
        """A tensor on the device, floating-point numbers in its precision. stage: what a row becomes before it goes."""
        if isinstance(value, DeviceArray):
            return value.tensor
        if isinstance(value, Ragged):
            padded = self._transfer.buffer(len(value.rows), value.padded)
            for row, waveform in zip(padded, value.rows, strict=True):
                samples = torch.from_numpy(waveform)
                row[: len(waveform)] = samples if stage is None else stage(samples)
            return self._transfer.up(padded, self._device.dtype)
        tensor = torch.from_numpy(value).to(self.device)
        return tensor.to(self._device.dtype) if tensor.is_floating_point() else tensor

    def _output(self, value: torch.Tensor, *, resident: bool) -> Array:
        if resident:
            return cast("Array", DeviceArray(value, self._transfer))
        narrow = value.is_floating_point() and value.dtype is not torch.float64
        return (value.float() if narrow else value).cpu().numpy()

    def guard(self, function: Callable[[], _T]) -> _T:
        """The value of a function that runs graphs. Raises OutOfMemory, with nothing kept, where the device refuses
        memory, and DeviceError where it answers no more."""
        return self._device.run(function, self._settle)

    def _settle(self) -> None:
        if self.offload is not None:
            self.offload.clear()

    def preempt(self) -> None:
        """Do nothing: what PyTorch has been given is run to its end; on a GPU that is soon."""

    def close(self) -> None:
        """Free them."""
        self._graphs.clear()
        self.offload = None
        del self._transfer
        gc.collect()
        with suppress(RuntimeError):  # of a device that answers no more
            self.memory.trim()
