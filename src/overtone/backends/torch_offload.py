"""A network larger than its GPU: transformer blocks that stay on the CPU and visit the device layer by layer.

Accelerate's hooks copy a layer's weights to the device before it runs and drop them after.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from overtone.memory import GIB, format_size
from overtone.models.emotion2vec import Emotion2vec

_RATE_BYTES = 64 << 20
"""Bytes copied to measure the rate: far beyond what starting a copy costs."""


class Offload:
    """All blocks of a network on the CPU, everything else on `device`; `keep` moves blocks over as well.

    The network is in its final dtype and on the CPU. From here on it runs as if it were on `device`.
    """

    def __init__(self, network: Emotion2vec, device: str) -> None:
        from accelerate import cpu_offload
        from accelerate.utils import set_module_tensor_to_device

        self._device = device
        self._blocks: dict[str, nn.Module] = dict(network.named_blocks())
        self._bytes = {
            name: sum(weight.numel() * weight.element_size() for weight in block.parameters())
            for name, block in self._blocks.items()
        }
        self._off = dict(self._blocks)
        for name, _ in list(network.named_parameters()):
            if not name.startswith(tuple(f"{block}." for block in self._blocks)):
                set_module_tensor_to_device(network, name, device)
        for block in self._blocks.values():
            # Pinned, so that the device can read them itself.
            weights = {name: _pinned(weight, device) for name, weight in block.state_dict().items()}
            cpu_offload(block, execution_device=torch.device(device), state_dict=weights)
        self._rate = _copy_rate(device)

    @property
    def block_bytes(self) -> Mapping[str, int]:
        """Bytes of weights of every block, in the order in which they run."""
        return self._bytes

    @property
    def moved_bytes(self) -> int:
        """Bytes that each batch moves to the device."""
        return sum(self._bytes[name] for name in self._off)

    def keep(self, placement: Mapping[str, str]) -> None:
        """Move the blocks for good that `placement` (name to device) has anywhere but on the CPU."""
        from accelerate.hooks import remove_hook_from_module

        for name, place in placement.items():
            if place != "cpu" and name in self._off:
                block = self._off.pop(name)
                remove_hook_from_module(block, recurse=True)
                block.to(place)

    def settle(self) -> None:
        """After a batch that broke off: drop what of the offloaded blocks is still on the device."""
        from accelerate.utils import set_module_tensor_to_device

        for block in self._off.values():
            for name, weight in list(block.named_parameters()):
                if weight.device.type != "meta":
                    set_module_tensor_to_device(block, name, "meta")

    def notes(self) -> tuple[str, ...]:
        """What it costs, for the results; nothing where every block is on the device after all."""
        if not self._off:
            return ()
        seconds = self.moved_bytes / self._rate
        return (
            f"offloaded: {len(self._off)} of {len(self._blocks)} blocks are on the CPU; each batch moves "
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
