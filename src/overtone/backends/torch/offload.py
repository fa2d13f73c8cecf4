"""A network larger than its GPU: transformer blocks that stay on the CPU and visit the device when they run.

A block's weights are copied to the device before it runs and dropped after. (Accelerate's hooks do the same weight by
weight, and empty PyTorch's cache of device memory after each.)
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.utils.hooks import RemovableHandle

from overtone.system.memory import GIB, format_size

_RATE_BYTES = 64 << 20
"""Bytes copied to measure the rate: far beyond what starting a copy costs."""


class OffloadedBlock:
    """A block whose weights are on the device only while it runs."""

    def __init__(self, block: nn.Module, device: str) -> None:
        self._block = block
        self._device = device
        # Pinned, so that the device can read them itself while the host goes on.
        self._kept = {name: _pinned(weight.data, device) for name, weight in block.named_parameters()}
        self._hooks: tuple[RemovableHandle, ...] = (
            block.register_forward_pre_hook(lambda *_: self.load()),
            block.register_forward_hook(lambda *_: self.unload()),
        )
        self.unload()

    @property
    def size(self) -> int:
        """Bytes of its weights."""
        return sum(weight.nbytes for weight in self._kept.values())

    @property
    def is_away(self) -> bool:
        """True if its weights are in host memory and nowhere else."""
        return all(weight.data_ptr() == self._kept[name].data_ptr() for name, weight in self._block.named_parameters())

    def load(self) -> None:
        """Copy its weights to the device; what computes with them waits there."""
        for name, weight in self._block.named_parameters():
            weight.data = self._kept[name].to(self._device, non_blocking=True, copy=True)

    def unload(self) -> None:
        """Drop what of it is on the device."""
        for name, weight in self._block.named_parameters():
            weight.data = self._kept[name]

    def pin(self) -> None:
        """Move it to the device for good."""
        for hook in self._hooks:
            hook.remove()
        self.load()


class Offload:
    """Some blocks of a network on the CPU, everything else on `device`; `place` moves blocks over as well.

    The network is in its final dtype and on the CPU. From here on it runs as if it were on `device`.
    blocks: by name, in the order in which they run.
    """

    def __init__(self, network: nn.Module, blocks: Mapping[str, nn.Module], device: str) -> None:
        self._device = device
        inside = {id(weight) for block in blocks.values() for weight in block.parameters()}
        for weight in network.parameters():
            if id(weight) not in inside:
                weight.data = weight.data.to(device)
        self._away = {name: OffloadedBlock(block, device) for name, block in blocks.items()}
        self._bytes = {name: visitor.size for name, visitor in self._away.items()}
        self._rate = _copy_rate(device)

    @property
    def block_bytes(self) -> Mapping[str, int]:
        """Bytes of weights of every block, in the order in which they run."""
        return self._bytes

    @property
    def away(self) -> tuple[str, ...]:
        """The blocks whose weights are in host memory and nowhere else now."""
        return tuple(name for name, visitor in self._away.items() if visitor.is_away)

    @property
    def moved_bytes(self) -> int:
        """Bytes that each batch moves to the device."""
        return sum(self._bytes[name] for name in self._away)

    def place(self, placement: Mapping[str, str]) -> None:
        """Move the blocks to the device for good that `placement` (name to device) has anywhere but on the CPU."""
        for name, place in placement.items():
            if place != "cpu" and name in self._away:
                self._away.pop(name).pin()

    def clear(self) -> None:
        """After a batch that broke off: drop what of the offloaded blocks is still on the device."""
        for visitor in self._away.values():
            visitor.unload()

    def notes(self) -> tuple[str, ...]:
        """Notes on the cost, for the results; none where every block is on the device after all."""
        if not self._away:
            return ()
        seconds = self.moved_bytes / self._rate
        return (
            f"offloaded: {len(self._away)} of {len(self._bytes)} blocks are on the CPU; each batch moves "
            f"{format_size(self.moved_bytes)} to {self._device}, {seconds:.2g} s at the {self._rate / GIB:.2g} GiB/s "
            "measured at the start",
        )


def _pinned(weight: torch.Tensor, device: str) -> torch.Tensor:
    return weight.pin_memory() if device.startswith("cuda") else weight


def _copy_rate(device: str) -> float:
    """Bytes per second from this machine's memory to the device, by one copy."""
    source = _pinned(torch.ones(_RATE_BYTES, dtype=torch.uint8), device)
    target = torch.empty_like(source, device=device)
    wait: Any = torch.cuda.synchronize if device.startswith("cuda") else lambda _: None
    target.copy_(source)  # the first one makes what copies need
    wait(device)
    began = time.perf_counter()
    target.copy_(source)
    wait(device)
    return _RATE_BYTES / max(time.perf_counter() - began, 1e-6)
