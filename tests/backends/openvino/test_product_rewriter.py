"""Convolutions as products: the same numbers, and only where they are faster."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
import torch.nn.functional as F

from overtone.backends.openvino.compiled_model import CompiledModel, has_fast_bf16, save_model
from overtone.backends.openvino.module import openvino
from overtone.backends.openvino.product_rewriter import convolutions_to_products

TOLERANCE = 1e-5
"""Absolute, on sums of some hundred products of the order of 1."""

WIDTH, CHANNELS = 6, 4


def graph(
    length: int,
    kernel: int,
    stride: int,
    *,
    order: Sequence[int] = (0, 2, 1),
    padding: int = 0,
    dilation: int = 1,
    two: bool = False,
) -> tuple[Any, npt.NDArray[np.float32]]:
    """A convolution between two transpositions, of rows (1, length, CHANNELS), -1 for any length; and its weights.

    two: its output is also given as it is.
    """
    ov = openvino()
    ops = ov.opset13
    rows = ov.op.Parameter(
        ov.Type.f32, ov.PartialShape([1, length, CHANNELS] if order[1] == 2 else [1, CHANNELS, length])
    )
    rows.output(0).get_tensor().set_names({"rows"})
    weights = np.random.default_rng(0).standard_normal((WIDTH, CHANNELS, kernel)).astype(np.float32)
    before = ops.transpose(rows, ops.constant(np.array(order)))
    made = ops.convolution(before, ops.constant(weights), [stride], [padding], [padding], [dilation])
    after = ops.transpose(made, ops.constant(np.array(order)))
    results = [ops.result(after), *([ops.result(made)] if two else [])]
    for place, result in enumerate(results):
        result.output(0).get_tensor().set_names({f"found {place}"})
    return ov.Model(results, [rows]), weights


def kinds(model: Any) -> set[str]:
    return {op.get_type_name() for op in model.get_ops()}


@pytest.mark.parametrize(("kernel", "stride"), [(3, 2), (2, 2), (1, 1), (5, 1), (10, 5), (2, 3)])
@pytest.mark.parametrize("length", [10, 11, 24, 31])
def test_a_product_has_the_convolutions_numbers(length: int, kernel: int, stride: int) -> None:
    model, weights = graph(length, kernel, stride)
    assert convolutions_to_products(model) == 1
    assert "MatMul" in kinds(model)
    assert not {"Convolution", "Transpose"} & kinds(model)
    rows = np.random.default_rng(1).standard_normal((1, length, CHANNELS)).astype(np.float32)
    expected = F.conv1d(torch.from_numpy(rows).transpose(1, 2), torch.from_numpy(weights), stride=stride).transpose(
        1, 2
    )
    found = CompiledModel(model, threads=1).infer({"rows": rows})
    np.testing.assert_allclose(found, expected.numpy(), rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize(
    "changes",
    [{"length": -1}, {"padding": 1}, {"dilation": 2}, {"order": (0, 1, 2)}, {"two": True}],
    ids=lambda changes: next(iter(changes)),
)
def test_what_is_no_plain_convolution_over_rows_stays(changes: dict[str, Any]) -> None:
    model, _ = graph(**{"length": 20, "kernel": 3, "stride": 2, **changes})
    assert convolutions_to_products(model) == 0
    assert "Convolution" in kinds(model)


@pytest.mark.parametrize(("precision", "layers"), [("fp32", {"FullyConnected"}), ("bf16", {"Convolution"})])
def test_it_is_done_in_float32_only(precision: str, layers: set[str], tmp_path: Path) -> None:
    if precision == "bf16" and not has_fast_bf16():
        pytest.skip("this processor has no fast bf16")
    save_model(graph(20, 3, 2)[0], tmp_path / "graph.xml")
    compiled = CompiledModel(tmp_path / "graph.xml", threads=1, precision=precision)
    ran = {op.get_rt_info()["layerType"].astype(str) for op in compiled._compiled.get_runtime_model().get_ops()}
    assert ran & {"FullyConnected", "MatMul", "Convolution"} == layers
