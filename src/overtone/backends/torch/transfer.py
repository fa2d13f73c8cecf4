"""Tensors to a device and back through host memory that is pinned and used again, without a wait for each copy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy.typing as npt
import torch

_CUDA: Any = torch.cuda  # parts of it have no types


class Transfer:
    """Copies for one device; used by one thread at a time. On a CPU nothing is pinned, and nothing is copied twice.

    What `buffer` and `down` have given is good until the next `buffer` or `down`.
    """

    def __init__(self, device: str) -> None:
        self._device = torch.device(device)
        self._on_cuda = self._device.type == "cuda"
        self._pinned: dict[str, torch.Tensor] = {}

    def buffer(self, rows: int, columns: int) -> torch.Tensor:
        """Zeros on the host, float32 (rows, columns), to be filled and handed to `up`."""
        if self._on_cuda:
            _CUDA.current_stream(self._device).synchronize()  # a batch that broke off may have left a copy on its way
        return self._host("up", torch.float32, rows * columns).view(rows, columns).zero_()

    def up(self, filled: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        """A buffer on the device, in `dtype`. Returns before it is there; what computes with it waits on the device."""
        return filled.to(self._device, non_blocking=True).to(dtype)

    def down(self, tensors: Sequence[torch.Tensor]) -> list[npt.NDArray[Any]]:
        """Tensors of one dtype as arrays on the host, one wait for all of them."""
        if not self._on_cuda:
            return [tensor.cpu().numpy() for tensor in tensors]
        total = sum(tensor.numel() for tensor in tensors)
        host, start = self._host("down", tensors[0].dtype, total), 0
        arrays = []
        for tensor in tensors:
            part = host[start : start + tensor.numel()].view(tensor.shape)
            part.copy_(tensor, non_blocking=True)
            start += tensor.numel()
            arrays.append(part.numpy())
        done = _CUDA.Event()
        done.record(torch.cuda.current_stream(self._device))
        done.synchronize()
        return arrays

    def _host(self, way: str, dtype: torch.dtype, size: int) -> torch.Tensor:
        """At least what was asked for before, so that batches of many shapes share one piece of memory."""
        if not self._on_cuda:
            return torch.empty(size, dtype=dtype)
        held = self._pinned.get(f"{way} {dtype}")
        if held is None or held.numel() < size:
            self._pinned.pop(f"{way} {dtype}", None)
            held = torch.empty(size, dtype=dtype, pin_memory=True)
            self._pinned[f"{way} {dtype}"] = held
        return held[:size]
