"""Convolutions of a graph as matrix products, which OpenVINO multiplies faster in float32.

A thread takes 60 ms for emotion2vec's features of a second of audio with oneDNN's convolutions in float32, and 51 with
products. In bf16 and in 8 bits the convolutions are the faster ones.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from overtone.backends.openvino.module import openvino

_TIME_LAST = [0, 2, 1]
"""The transposition between (batch, time, channels) and (batch, channels, time), either way."""


def convolutions_to_products(model: Any) -> int:
    """Replace, in an `openvino.Model`, convolutions over time by matrix products; how many there were.

    Those whose input and output lie as (batch, time, channels), in between two transpositions, and whose length is
    fixed. The others stay: their windows would have to be gathered from single samples.
    """
    found = [(after, *parts) for after in model.get_ordered_ops() if (parts := _convolution(after)) is not None]
    for after, rows, convolution in found:
        after.output(0).replace(_product(rows, convolution))
    return len(found)


def _convolution(after: Any) -> tuple[Any, Any] | None:
    """The rows that a convolution takes, as (batch, time, channels), and the convolution, if `after` turns its output
    back."""
    if not _is_transposition(after):
        return None
    convolution = after.input_value(0).get_node()
    if convolution.get_type_name() != "Convolution" or len(convolution.output(0).get_target_inputs()) != 1:
        return None
    before, weights = (value.get_node() for value in convolution.input_values())
    about = convolution.get_attributes()
    if (
        not _is_transposition(before)
        or weights.get_type_name() != "Constant"
        or weights.get_element_type() != openvino().Type.f32
        or before.get_output_partial_shape(0).is_dynamic
        or [*about["pads_begin"], *about["pads_end"]] != [0, 0]
        or about["auto_pad"] not in ("explicit", "valid")
        or about["dilations"] != [1]
    ):
        return None
    return before.input_value(0), convolution


def _is_transposition(op: Any) -> bool:
    if op.get_type_name() != "Transpose":
        return False
    order = op.input_value(1).get_node()
    return order.get_type_name() == "Constant" and list(order.data) == _TIME_LAST


def _product(rows: Any, convolution: Any) -> Any:
    """The convolution's output as (batch, time, channels): each row that it sees is a window, and multiplied whole."""
    ops = openvino().opset13
    batch, length, channels = rows.get_shape()
    weights = convolution.input_value(1).get_node().data  # (outputs, channels, kernel)
    width, kernel, stride = len(weights), weights.shape[-1], convolution.get_attributes()["strides"][0]
    count = (length - kernel) // stride + 1
    if kernel != stride or length != count * kernel:
        seen = np.arange(count)[:, None] * stride + np.arange(kernel)
        rows = ops.gather(rows, ops.constant(seen.ravel()), ops.constant(np.int64(1))).output(0)
    windows = ops.reshape(rows, ops.constant(np.array([batch, count, kernel * channels])), special_zero=False)
    taps = np.ascontiguousarray(weights.transpose(0, 2, 1)).reshape(width, kernel * channels)
    return ops.matmul(windows, ops.constant(taps), transpose_a=False, transpose_b=True).output(0)
