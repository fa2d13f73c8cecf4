"""The rate of this machine: how fast its cores multiply matrices through OpenVINO, in each precision.

OpenVINO's own product and not another library's, so that a share of this rate is what lies between the products of a
model: norms, activations, softmax, reorders. It is the best of some sizes, each at its fastest, so that no model is
beyond it but by the noise of a machine. `bench/vs_funasr.py` and `bench/stages.py` hold models beside it.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from common import child

PRODUCT = "OpenVINO"
"""Kept with the rates: those of earlier results are PyTorch's products, which are slower."""

SIZES = ((2048, 2048, 2048), (1500, 768, 3072), (250, 768, 3072), (170, 512, 2048))
"""Rows, depth and columns: a square, and what emotion2vec and SenseVoice multiply for 30, 5 and 10 s."""

_TIMES = 12

_CHILD = """
from machine_rate import measured
answer(rates=measured(arguments["threads"]))
"""

Rates = Mapping[str, float | None]


def machine_rates(threads: int) -> dict[str, float | None]:
    """Operations per second by precision, in a child process; None where this processor has no such product."""
    rates: dict[str, float | None] = child(_CHILD, threads=threads)["rates"]
    return rates


def measured(threads: int) -> dict[str, float | None]:
    """The same, in this process."""
    from overtone.backends.openvino.compiled_model import has_fast_bf16

    precisions = {"fp32": True, "bf16": has_fast_bf16(), "int8": True}
    return {
        name: max(_rate(name, size, threads) for size in SIZES) if there else None for name, there in precisions.items()
    }


def _rate(precision: str, size: tuple[int, int, int], threads: int) -> float:
    from overtone.backends.openvino.compiled_model import CompiledModel

    rows, depth, columns = size
    inputs = {"x": np.random.default_rng(1).standard_normal((rows, depth), dtype=np.float32)}
    model = CompiledModel(
        product(rows, depth, columns, eight_bits=precision == "int8"), threads=threads, precision=precision
    )
    times = []
    for _ in range(_TIMES):
        began = time.perf_counter()
        model.infer(inputs)
        times.append(time.perf_counter() - began)
    return 2.0 * rows * depth * columns / min(times)


def product(rows: int, depth: int, columns: int, *, eight_bits: bool) -> Any:
    """A model of one product with seeded weights, `openvino.Model`; in 8 bits of activations and weights where asked.

    Then its time has the pass in it that makes 8 bits of its input, some hundredths.
    """
    from overtone.backends.openvino.module import openvino

    ov = openvino()
    op = ov.opset13
    x = op.parameter([rows, depth], np.float32, name="x")
    x.output(0).get_tensor().set_names({"x"})
    values = np.random.default_rng(0).standard_normal((columns, depth), dtype=np.float32)
    left, right = x, op.constant(values)
    if eight_bits:
        left, right = _quantized(op, x, 4.0, 256), _quantized(op, right, float(np.abs(values).max()), 255)
    result = op.matmul(left, right, False, True)
    result.output(0).get_tensor().set_names({"y"})
    return ov.Model([op.result(result)], [x])


def _quantized(op: Any, value: Any, most: float, levels: int) -> Any:
    low, high = (op.constant(np.array(bound, np.float32)) for bound in (-most, most))
    return op.fake_quantize(value, low, high, low, high, levels)


def rate_of(rates: Mapping[str, Rates], precision: str) -> float | None:
    """The mean of a precision's rates, measured at several times; None where there is none."""
    known = [rate for each in rates.values() if (rate := each.get(precision))]
    return statistics.mean(known) if known else None
