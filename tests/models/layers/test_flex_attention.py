"""FlexAttention's rule for logits, against the attention that goes block by block. Uncompiled, so without a GPU."""

from __future__ import annotations

import functools
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import torch

from helpers.paths import TESTS
from overtone.models import checkpoints
from overtone.models.emotion2vec.loading import load
from overtone.models.layers.alibi_attention import alibi_slopes, attend
from overtone.models.layers.flex_attention import FlexAttend, flex_supports

pytest.importorskip("torch.nn.attention.flex_attention", reason="this PyTorch has no FlexAttention")
pytestmark = pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")

HERE = {"release": "2.13.0+cu130", "capability": (9, 0), "triton": True}


def uncompiled() -> FlexAttend:
    return FlexAttend(compile=lambda function: function)


def tensors(batch: int, tokens: int, *, heads: int = 4, dim: int = 16) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(tokens)
    return list(torch.randn(3, batch, heads, tokens, dim, generator=generator))


def validity(tokens: int, *lengths: int) -> torch.Tensor:
    return torch.arange(tokens)[None] < torch.tensor(lengths)[:, None]


@pytest.mark.parametrize(
    ("device", "dtype", "head_dim", "machine", "served"),
    [
        ("cuda:0", torch.float32, 64, {}, True),
        ("cuda:1", torch.bfloat16, 64, {"capability": (8, 0)}, True),
        ("cuda:0", torch.float16, 16, {"release": "2.5.1"}, True),
        ("cpu", torch.float32, 64, {}, False),
        ("cuda:0", torch.float64, 64, {}, False),
        ("cuda:0", torch.float32, 48, {}, False),
        ("cuda:0", torch.float32, 8, {}, False),
        ("cuda:0", torch.float32, 64, {"release": "2.4.1+cu124"}, False),
        ("cuda:0", torch.float32, 64, {"capability": (7, 5)}, False),
        ("cuda:0", torch.float32, 64, {"triton": False}, False),
    ],
)
def test_where_it_can_be_had(
    device: str, dtype: torch.dtype, head_dim: int, machine: dict[str, Any], served: bool
) -> None:
    assert flex_supports(device, dtype, head_dim, **(HERE | machine)) is served


@pytest.mark.parametrize("extra", [0, 1, 10])
@pytest.mark.parametrize("valid", [None, validity(70, 70, 50, 11)], ids=["even", "ragged"])
def test_it_answers_what_blocks_answer(valid: torch.Tensor | None, extra: int) -> None:
    query, key, value = tensors(3, 70)
    slopes = torch.tensor(alibi_slopes(4)) * 1.3
    flex = uncompiled()
    ours = flex(query, key, value, slopes, valid, extra)
    assert flex.fault is None
    expected = attend(query, key, value, slopes, valid, extra)
    # Rows past an item's end are nobody's.
    real = torch.ones(3, 70, dtype=torch.bool) if valid is None else valid
    at = real[:, None, :, None].expand_as(ours)
    torch.testing.assert_close(ours[at], expected[at], rtol=0, atol=1e-5)


def test_without_alibi_nothing_is_compiled() -> None:
    def fails(*_: Any) -> torch.Tensor:
        raise AssertionError

    query, key, value = tensors(2, 30)
    flex = FlexAttend(compile=lambda _: fails)
    valid = validity(30, 30, 20)
    assert torch.equal(flex(query, key, value, None, valid, 10), attend(query, key, value, None, valid, 10))
    assert flex.fault is None


def test_where_it_cannot_be_compiled_blocks_answer_and_why_is_kept() -> None:
    calls = []

    def fails(*_: Any) -> torch.Tensor:
        calls.append(1)
        raise RuntimeError("Failed to find C compiler. Please specify via CC environment variable.\nmore")

    query, key, value = tensors(2, 30)
    slopes, valid = torch.tensor(alibi_slopes(4)), validity(30, 30, 20)
    flex = FlexAttend(compile=lambda _: fails)
    for _ in range(2):
        ours = flex(query, key, value, slopes, valid, 10)
        assert torch.equal(ours, attend(query, key, value, slopes, valid, 10))
    assert flex.fault == "RuntimeError: Failed to find C compiler. Please specify via CC environment variable."
    assert len(calls) == 1  # it is not tried again at every layer


@pytest.mark.parametrize(
    "error",
    [
        torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
        RuntimeError("CUDA error: an illegal memory access was encountered"),
    ],
)
def test_what_is_the_devices_is_raised(error: Exception) -> None:
    def fails(*_: Any) -> torch.Tensor:
        raise error

    flex = FlexAttend(compile=lambda _: fails)
    query, key, value = tensors(2, 30)
    with pytest.raises(type(error)):
        flex(query, key, value, torch.tensor(alibi_slopes(4)), None, 10)
    assert flex.fault is None


def test_a_whole_network_answers_the_same_either_way(small_checkpoint: Path) -> None:
    network, _ = load(checkpoints.read(small_checkpoint, name="small"))
    waveforms = torch.randn(2, 24_000, generator=torch.Generator().manual_seed(0))
    frames = torch.tensor([74, 50])
    flex = uncompiled()
    with torch.inference_mode():
        expected = network(waveforms, frames)
        network.set_attention(flex)
        ours = network(waveforms, frames)
    assert flex.fault is None
    for item, count in enumerate(frames):
        torch.testing.assert_close(ours[item, :count], expected[item, :count], rtol=0, atol=1e-5)


def compile_for_many_shapes() -> None:
    """What is traced has the same guards on a CPU as on a GPU. Code is not made of it: C++, which takes a minute."""
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    with patch.object(torch, "compile", functools.partial(torch.compile, backend="eager")):
        flex = FlexAttend()
    slopes = torch.tensor(alibi_slopes(4))
    with torch.inference_mode():
        for batch, tokens in ((1, 60), (1, 150), (3, 140), (4, 201), (7, 90), (1, 333)):
            query, key, value = tensors(batch, tokens)
            valid = validity(tokens, *range(tokens - batch + 1, tokens + 1))
            ours, expected = (way(query, key, value, slopes, valid, 10) for way in (flex, attend))
            at = valid[:, None, :, None].expand_as(ours)
            torch.testing.assert_close(ours[at], expected[at], rtol=0, atol=1e-5)
    assert flex.fault is None
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 2


@pytest.mark.slow
def test_it_is_compiled_once_for_a_batch_of_one_and_once_for_all_others() -> None:
    # In a process of its own: PyTorch also compiles anew where the process's settings are others, as other tests leave
    # them.
    folders = [str(Path(__file__).parent), str(TESTS)]
    code = f"import sys; sys.path[:0] = {folders!r}; from test_flex_attention import *; compile_for_many_shapes()"
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True, timeout=300)
