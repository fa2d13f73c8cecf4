"""Kernel of a network's attention in PyTorch, by device, and its memory."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from overtone.batching.cost_model import Shape
from overtone.models.layers.alibi_attention import BIAS_BYTES, AttendBy, attend
from overtone.models.layers.flex_attention import FlexAttend, flex_available


class AttentionKernel:
    """FlexAttention where the device has it, else blocks of queries; memory is linear in the length with both."""

    def __init__(self, device: str, dtype: torch.dtype, head_dim: int) -> None:
        self._device = device
        self._flex = FlexAttend() if flex_available(device, dtype, head_dim) else None
        self.attend: AttendBy = attend if self._flex is None else self._flex

    @property
    def name(self) -> str:
        """`flex`, in one kernel, or `blocks`, block by block."""
        return "blocks" if self._flex is None or self._flex.fault is not None else "flex"

    @property
    def fixed_bytes(self) -> int:
        """Bytes that a block may still grow by beyond what short audio takes; in one kernel there are no blocks."""
        return BIAS_BYTES if self.name == "blocks" else 0

    @property
    def warm_up(self) -> Sequence[Shape]:
        """Batches for each of which a kernel is compiled."""
        # Compiled apart: a batch of one, and fewer than 128 tokens, for which there is another kernel.
        return () if self._flex is None else (Shape(1, 1.0), Shape(2, 1.0), Shape(1, 4.0), Shape(2, 4.0))

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes for results where FlexAttention could not be compiled."""
        if self._flex is None or self._flex.fault is None:
            return ()
        return (f"attention ran block by block on {self._device}: FlexAttention failed ({self._flex.fault})",)
