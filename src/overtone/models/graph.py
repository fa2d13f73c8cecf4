"""A network, or a part of one that is run by itself, as every runtime is given it."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn


class Graph(nn.Module):
    """A module whose inputs and outputs have names, so that OpenVINO and PyTorch run it alike.

    `forward` takes tensors in the order of `inputs` (name to shape, -1 where a dimension may change) and gives a tuple
    in the order of `outputs`. It is traced: no branch may depend on a tensor's values, and no shape may be turned into
    a Python number that the trace would keep. No output has the name of an input: OpenVINO would rename it. Rows are
    independent and take their true lengths, so padding changes no answer.
    """

    inputs: Mapping[str, tuple[int, ...]]
    outputs: tuple[str, ...]

    def example(self) -> tuple[torch.Tensor, ...]:
        """Small inputs to trace it with: two rows of different lengths."""
        raise NotImplementedError
