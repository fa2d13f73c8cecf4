"""A network, or a part of one that is run by itself, as every runtime is given it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from overtone.models.layers.attention_kernel import AttentionKernel


class Graph(nn.Module):
    """A module whose inputs and outputs have names, so that OpenVINO and PyTorch run it alike.

    `forward` takes tensors in the order of `inputs` (name to shape, -1 where a dimension may change) and gives a tuple
    in the order of `outputs`. It is traced: no branch may depend on a tensor's values, and no shape may be turned into
    a Python number that the trace would keep. No output has the name of an input: OpenVINO would rename it. Rows are
    independent and take their true lengths, so padding changes no answer.
    """

    inputs: Mapping[str, tuple[int, ...]]
    outputs: tuple[str, ...]
    resident: frozenset[str] = frozenset()
    """Outputs that stay on a device as they are: a task hands them on to another graph, or copies them."""
    kernel: AttentionKernel | None = None
    """The kernel that computes attention through PyTorch in memory that does not grow with the square of the length."""

    def example(self) -> tuple[torch.Tensor, ...]:
        """Small inputs to trace it with: two rows of different lengths."""
        raise NotImplementedError

    def prepare(self, device: str, dtype: torch.dtype) -> None:
        """Choose kernels for the device on which PyTorch runs it; called once its weights are there."""

    @property
    def blocks(self) -> Mapping[str, nn.Module]:
        """Parts by name, in the order in which they run, that may wait in host memory."""
        return {}

    def call(self, inputs: Mapping[str, Any], upload: Callable[..., torch.Tensor]) -> Mapping[str, torch.Tensor]:
        """Outputs by name as PyTorch runs it, untraced.

        inputs: by name, as a task gives them. upload: makes a tensor on the device of one.
        """
        return dict(zip(self.outputs, self(*(upload(inputs[name]) for name in self.inputs)), strict=True))
