"""Attention with ALiBi in one kernel: FlexAttention (Dong et al., 2024, arXiv:2412.05496), for CUDA devices.

The bias is computed inside the kernel from the places of a query and a key, so it never exists in memory at all.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable
from types import FunctionType
from typing import Any

import torch

from overtone.models.layers.alibi_attention import attend
from overtone.system.memory import memory_refusal

_SINCE = (2, 5)
"""The first PyTorch with FlexAttention."""

_CAPABILITY = (8, 0)
"""Ampere: what PyTorch's own tests of FlexAttention ask for."""

_HEAD_DIMS = (16, 32, 64, 128, 256)
"""Powers of two, as the kernel's blocks are; all published networks have 64."""

_DTYPES = (torch.float32, torch.bfloat16, torch.float16)


def flex_supports(
    device: str,
    dtype: torch.dtype,
    head_dim: int,
    *,
    release: str,
    capability: tuple[int, int],
    triton: bool,
) -> bool:
    """True if FlexAttention can be had for a network. Pure: the caller knows the machine.

    - `release`: PyTorch's version.
    - `capability`: the GPU's, as (major, minor).
    - `triton`: True if it can be imported.
    """
    since = tuple(int(number) for number in re.findall(r"\d+", release)[:2])
    return (
        device.startswith("cuda")
        and triton
        and since >= _SINCE
        and capability >= _CAPABILITY
        and head_dim in _HEAD_DIMS
        and dtype in _DTYPES
    )


def flex_available(device: str, dtype: torch.dtype, head_dim: int) -> bool:
    """`flex_supports` for this machine."""
    if not device.startswith("cuda"):
        return False
    triton = importlib.util.find_spec("triton") is not None
    capability = torch.cuda.get_device_capability(device)
    return flex_supports(device, dtype, head_dim, release=str(torch.__version__), capability=capability, triton=triton)


def flex_attend(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    slopes: torch.Tensor,
    lengths: torch.Tensor,
    extra: torch.Tensor,
) -> torch.Tensor:
    """Attention as `attend` has it, by FlexAttention. To be compiled: uncompiled it writes the whole matrix of logits.

    - `query`, `key`, `value`: (batch, heads, tokens, head_dim).
    - `slopes`: float32 (heads,).
    - `lengths`: int (batch,), true tokens. A tensor, so that it is not compiled in.
    - `extra`: int (), how many tokens at the start have no place in time. A tensor, too.
    """
    from torch.nn.attention.flex_attention import flex_attention

    def score(logit: torch.Tensor, item: Any, head: Any, i: Any, j: Any) -> torch.Tensor:
        placed = (i >= extra) & (j >= extra)
        bias = torch.where(placed, -slopes[head] * (i - j).abs(), 0.0)
        return torch.where(j < lengths[item], logit + bias, -float("inf"))

    attended: torch.Tensor = flex_attention(query, key, value, score_mod=score)
    return attended


class FlexAttend:
    """Attention by FlexAttention, compiled at the first call, and by `attend` where it cannot be compiled.

    One for each network. `fault` says why it fell back, None as long as it did not: the answers are the same, the
    memory and the time are not. Memory refused while it compiles or runs is raised, as anywhere.
    `compile`: for tests.
    """

    def __init__(self, compile: Callable[[Any], Any] | None = None) -> None:
        self._compiled: Callable[..., torch.Tensor] = (compile or _compiled)(flex_attend)
        self._extra: torch.Tensor | None = None
        self.fault: str | None = None

    def __call__(
        self,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        slopes: torch.Tensor | None,
        valid: torch.Tensor | None,
        extra: int,
    ) -> torch.Tensor:
        if slopes is None or self.fault is not None:
            return attend(query, key, value, slopes, valid, extra)
        if self._extra is None or self._extra.device != query.device:
            self._extra = torch.tensor(extra, device=query.device)
        batch, _, tokens, _ = query.shape
        if valid is None:
            lengths = torch.full((batch,), tokens, device=query.device)
        else:
            lengths = valid.sum(dim=1)
        try:
            return self._compiled(query, key, value, slopes, lengths, self._extra)
        except Exception as error:  # compiling raises what its many parts raise
            if memory_refusal(error) is not None or _is_the_devices(error):
                raise
            self.fault = f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0][:200]}"
        return attend(query, key, value, slopes, valid, extra)


def _compiled(function: Any) -> Callable[..., Any]:
    # Code of its own: PyTorch compiles one piece of code so many times and no more, and each device needs its own few.
    own = FunctionType(function.__code__.replace(), function.__globals__, function.__name__)
    # Whole, or PyTorch would run what it cannot compile uncompiled, in memory that grows with the square of the length.
    compiled: Callable[..., Any] = torch.compile(own, fullgraph=True, dynamic=True)
    return compiled


def _is_the_devices(error: Exception) -> bool:
    """True if the device itself failed, after which any other attention would fail as well."""
    return isinstance(error, RuntimeError) and str(error).startswith("CUDA error")
