"""Memory of a CUDA device as PyTorch's caching allocator holds it."""

from __future__ import annotations

from collections.abc import Callable

import torch

CONTEXT_BYTES = 512 << 20
"""Device memory that CUDA, cuBLAS and cuDNN take for a process beside its tensors, which PyTorch does not count."""


class CudaMemory:
    """`DeviceMemory` of a CUDA device, by its name."""

    def __init__(self, device: str) -> None:
        self._device = device

    def allocated(self) -> int:
        """Bytes taken from the device: what the caching allocator holds, used or not."""
        return torch.cuda.memory_reserved(self._device) + CONTEXT_BYTES

    def reclaimable(self) -> int:
        """The caching allocator's free blocks; the rest of blocks in use cannot be given back."""
        stats = torch.cuda.memory_stats(self._device)
        taken = stats["allocated_bytes.all.current"] + stats["inactive_split_bytes.all.current"]
        return max(0, int(stats["reserved_bytes.all.current"] - taken))

    def peak(self) -> int:
        """The highest that `allocated` has been."""
        return torch.cuda.max_memory_reserved(self._device) + CONTEXT_BYTES

    def trim(self) -> None:
        """Give free blocks back to the device."""
        torch.cuda.empty_cache()

    def measure(self, function: Callable[[], object]) -> int:
        """Peak bytes that a call took from the device on top of what was held before it."""
        self.trim()
        torch.cuda.reset_peak_memory_stats(self._device)
        before = torch.cuda.memory_reserved(self._device)
        function()
        return int(torch.cuda.max_memory_reserved(self._device) - before)
