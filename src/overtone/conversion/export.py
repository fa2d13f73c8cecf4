"""Graphs as OpenVINO and ONNX models: traced from the modules that PyTorch runs, so there is one definition of each."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from overtone.backends.openvino.module import openvino
from overtone.models.graph import Graph


def export_onnx(graphs: Mapping[str, Graph], folder: Path) -> None:
    """Write `<name>.onnx` of each graph, float32, with the names of its inputs and outputs.

    Takes the packages that PyTorch exports with; the command looks for them before it converts anything.
    """
    logs = logging.getLogger("torch.onnx")
    level = logs.level
    logs.setLevel(logging.ERROR)  # which operators of other packages it will not translate
    try:
        with warnings.catch_warnings(), torch.inference_mode(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            for name, graph in graphs.items():
                torch.onnx.export(
                    graph,
                    graph.example(),
                    folder / f"{name}.onnx",
                    input_names=list(graph.inputs),
                    output_names=list(graph.outputs),
                    dynamic_shapes={key: _changing(shape) for key, shape in graph.inputs.items()},
                    dynamo=True,
                    verbose=False,
                )
    finally:
        logs.setLevel(level)


def _changing(shape: Sequence[int]) -> dict[int, Any] | None:
    """The dimensions of an input that may change, as the exporter takes them."""
    return {axis: torch.export.Dim.DYNAMIC for axis, size in enumerate(shape) if size == -1} or None


def exported(graph: Graph) -> Any:
    """A graph as an `openvino.Model`, float32, with the names and shapes of its inputs and outputs. It shares the
    network's weights in memory."""
    assert not set(graph.inputs).intersection(graph.outputs)
    with warnings.catch_warnings(), torch.inference_mode():
        # What tracing says of PyTorch's own deprecations is nobody's concern here.
        warnings.simplefilter("ignore")
        # Traced here and not by OpenVINO, which would trace each graph twice to compare: half the time of a conversion.
        traced = torch.jit.trace(  # type: ignore[no-untyped-call]
            graph, graph.example(), strict=False, check_trace=False
        )
        model = openvino().convert_model(traced, example_input=graph.example())
    model.reshape({place: list(shape) for place, shape in enumerate(graph.inputs.values())})
    for places, names in ((model.inputs, tuple(graph.inputs)), (model.outputs, graph.outputs)):
        for place, name in zip(places, names, strict=True):
            place.get_tensor().set_names({name})
    return model
