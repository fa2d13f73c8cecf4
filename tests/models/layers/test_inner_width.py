"""Feed-forward parts widened for the CPU."""

from __future__ import annotations

import gc

import numpy as np
import pytest
import torch
from torch import nn

from overtone.backends.openvino.compiled_model import CompiledModel
from overtone.conversion.export import exported
from overtone.models.emotion2vec.network import Mlp
from overtone.models.graph import Graph
from overtone.models.layers.inner_width import widen_inner
from overtone.models.layers.sanm import FeedForward
from overtone.system.machine import rss_bytes, trim_heap
from overtone.system.memory import MIB

WIDTH, PARTS = 768, 8


class Chain(Graph):
    """Feed-forward parts of the published width, one behind the other."""

    inputs = {"x": (-1, -1, WIDTH)}  # noqa: RUF012 - as `Graph` has it
    outputs = ("y",)

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.parts = nn.ModuleList(Mlp(WIDTH, 4 * WIDTH) for _ in range(PARTS))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        for part in self.parts:
            x = x + part(x)
        return (x,)

    def example(self) -> tuple[torch.Tensor, ...]:
        return (torch.zeros(1, 9, WIDTH),)


@pytest.mark.parametrize("kind", [Mlp, FeedForward])
def test_answers_stay_and_the_first_product_has_more_outputs(kind: type[Mlp] | type[FeedForward]) -> None:
    torch.manual_seed(0)
    part, given = kind(128, 512), torch.randn(2, 7, 128)
    with torch.inference_mode():
        wanted = part(given)
        widen_inner(nn.ModuleList([part]))
        torch.testing.assert_close(part(given), wanted, rtol=0, atol=1e-6)
    first, second = part.products()
    assert first.weight.shape == (528, 128)
    assert first.bias.shape == (528,)
    assert second.weight.shape == (128, 528)
    assert not second.weight[:, 512:].any()
    assert first.weight.detach().abs().amax(dim=1).min() > 0  # quantized row by row, none may be empty


@pytest.mark.parametrize(("width", "inner"), [(64, 256), (128, 256), (128, 528)])
def test_other_shapes_are_left_alone(width: int, inner: int) -> None:
    part = Mlp(width, inner)
    widen_inner(part)
    assert part.fc1.weight.shape == (inner, width)


def test_openvino_packs_the_weights_once_and_the_numbers_are_the_same() -> None:
    given = [np.random.default_rng(0).normal(size=(1, frames, WIDTH)).astype(np.float32) for frames in (20, 120)]
    plain = CompiledModel(exported(Chain()), threads=1)
    wanted = [plain.run({"x": x})["y"].copy() for x in given]
    del plain
    chain = Chain()
    widen_inner(chain)
    compiled = CompiledModel(exported(chain), threads=1)
    resident = []
    for x, answer in zip(given, wanted, strict=True):
        np.testing.assert_allclose(compiled.run({"x": x})["y"], answer, rtol=0, atol=1e-5)
        compiled.release()
        gc.collect()
        trim_heap()
        resident.append(rss_bytes())
    # Packed again it would be 9 MiB for each part.
    assert resident[1] - resident[0] < 9 * PARTS * MIB // 3
