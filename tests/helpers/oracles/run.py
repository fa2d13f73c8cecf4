"""Runs of graphs, as a task is given them: the modules themselves in PyTorch, and the backend that is the default."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from overtone.backends.openvino.compiled_model import save_model
from overtone.backends.openvino.graphs import OpenvinoGraphs
from overtone.conversion.export import exported
from overtone.models.converted import Converted
from overtone.models.graph import Graph
from overtone.models.task import Array, RunGraph


def torch_run(graphs: Mapping[str, Graph]) -> RunGraph:
    """Runs the modules themselves, on one thread of the CPU."""

    def run(graph: str, inputs: Mapping[str, Array]) -> Mapping[str, Array]:
        network = graphs[graph]
        _check(network, inputs)
        with torch.inference_mode():
            outputs = network(*(torch.from_numpy(inputs[name]) for name in network.inputs))
        return {name: output.numpy() for name, output in zip(network.outputs, outputs, strict=True)}

    return run


def openvino_run(graphs: Mapping[str, Graph]) -> RunGraph:
    """Runs them as a converted model is run by default: written to a folder and read by the backend, in float32, on one
    thread of the CPU."""
    folder = Path(tempfile.mkdtemp(prefix="graphs-"))
    for name, network in graphs.items():
        save_model(exported(network), folder / f"{name}.xml")
    backend = OpenvinoGraphs(Converted(folder, "fp32", "", {}, None), tuple(graphs), precision="fp32", threads=1)
    weakref.finalize(backend, shutil.rmtree, folder, ignore_errors=True)

    def run(graph: str, inputs: Mapping[str, Array]) -> Mapping[str, Array]:
        network = graphs[graph]
        _check(network, inputs)
        outputs = backend.run(graph, inputs)
        return {name: outputs[name] for name in network.outputs}

    return run


def _check(network: Graph, inputs: Mapping[str, Array]) -> None:
    """What the protocol asks of inputs."""
    assert set(inputs) == set(network.inputs)
    for name, shape in network.inputs.items():
        array = inputs[name]
        assert array.flags.c_contiguous, name
        assert array.dtype in (np.float32, np.int64), name
        assert len(array.shape) == len(shape), name
        assert all(want in (-1, got) for want, got in zip(shape, array.shape, strict=True)), name
