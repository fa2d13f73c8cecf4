"""Runs of graphs, as a task is given them: through PyTorch and through OpenVINO, without the backends around them."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from overtone import compiled
from overtone.models.graph import Graph
from overtone.tasks.base import Array, Run


def torch_run(graphs: Mapping[str, Graph]) -> Run:
    """Runs the modules themselves, on one thread of the CPU."""

    def run(graph: str, inputs: Mapping[str, Array]) -> Mapping[str, Array]:
        network = graphs[graph]
        _check(network, inputs)
        with torch.inference_mode():
            outputs = network(*(torch.from_numpy(inputs[name]) for name in network.inputs))
        return {name: output.numpy() for name, output in zip(network.outputs, outputs, strict=True)}

    return run


def openvino_run(graphs: Mapping[str, Graph]) -> Run:
    """Runs what OpenVINO makes of them, in float32 on one thread of the CPU."""
    requests = {name: _request(network) for name, network in graphs.items()}

    def run(graph: str, inputs: Mapping[str, Array]) -> Mapping[str, Array]:
        network = graphs[graph]
        _check(network, inputs)
        outputs = requests[graph].infer([inputs[name] for name in network.inputs])
        return {name: outputs[index].copy() for index, name in enumerate(network.outputs)}

    return run


def _request(network: Graph) -> Any:
    openvino = compiled.openvino()
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")  # what tracing says of PyTorch's own deprecations
        model = openvino.convert_model(network, example_input=network.example())
    model.reshape({index: list(shape) for index, shape in enumerate(network.inputs.values())})
    settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}
    return openvino.Core().compile_model(model, "CPU", settings).create_infer_request()


def _check(network: Graph, inputs: Mapping[str, Array]) -> None:
    """What the protocol asks of inputs."""
    assert set(inputs) == set(network.inputs)
    for name, shape in network.inputs.items():
        array = inputs[name]
        assert array.flags.c_contiguous, name
        assert array.dtype in (np.float32, np.int64), name
        assert len(array.shape) == len(shape), name
        assert all(want in (-1, got) for want, got in zip(shape, array.shape, strict=True)), name
