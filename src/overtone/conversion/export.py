"""Networks as OpenVINO models: traced from the modules that PyTorch runs, so there is one definition of each.

emotion2vec gives two. The feature extractor takes one stretch of `FEATURE_FRAMES` frames at a time: one shape, for
which its convolutions are compiled best, whatever the lengths of the audio. The encoder takes batches of any shape, and
true lengths.
"""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import nn

from overtone.backends.openvino.runtime import openvino
from overtone.models.emotion2vec.network import Emotion2vec
from overtone.models.graph import Graph
from overtone.models.layers.dense_attention import encode_dense

FEATURE_FRAMES = 20
"""Frames (0.4 s) the exported feature extractor makes at a time. Stretches of 0.4 to 4 s ran equally fast (base shape,
two cores), and the shorter they are, the less of the last one is waste."""


class _Features(nn.Module):
    """Waveforms (1, samples) to projected features (1, FEATURE_FRAMES, dim)."""

    def __init__(self, network: Emotion2vec) -> None:
        super().__init__()
        self.network = network

    def forward(self, waveforms: torch.Tensor) -> torch.Tensor:
        return self.network.project(self.network.audio.local_encoder(waveforms))


class _Encoder(nn.Module):
    """Projected features (batch, frames, dim) and true frame counts (batch,) to embeddings (batch, frames, dim)."""

    def __init__(self, network: Emotion2vec) -> None:
        super().__init__()
        self.network = network

    def forward(self, features: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
        return encode_dense(self.network, features, counts)


def export(network: Emotion2vec) -> tuple[Any, Any]:
    """The feature extractor and the encoder as `openvino.Model`s, float32. They share the network's weights in memory.

    Inputs and outputs: `waveforms` (1, samples) to `features` (1, FEATURE_FRAMES, dim); `features` (batch, frames, dim)
    and `counts` int64 (batch,) to `embeddings` (batch, frames, dim).
    """
    architecture = network.architecture
    samples = architecture.samples_for(FEATURE_FRAMES)
    example = torch.zeros(2, 30, architecture.embed_dim), torch.tensor([30, 20])
    with warnings.catch_warnings(), torch.inference_mode():
        # What tracing says of PyTorch's own deprecations is nobody's concern here.
        warnings.simplefilter("ignore")
        features = openvino().convert_model(
            _Features(network), example_input=torch.zeros(1, samples), input=[(1, samples)]
        )
        encoder = openvino().convert_model(_Encoder(network), example_input=example)
    encoder.reshape({0: [-1, -1, architecture.embed_dim], 1: [-1]})
    for model, inputs, output in (
        (features, ("waveforms",), "features"),
        (encoder, ("features", "counts"), "embeddings"),
    ):
        for place, name in zip(model.inputs, inputs, strict=True):
            place.get_tensor().set_names({name})
        model.outputs[0].get_tensor().set_names({output})
    return features, encoder


def export_onnx(network: Emotion2vec, folder: Path) -> None:
    """Write `features.onnx` and `encoder.onnx`, float32, with the inputs and outputs of `export`.

    Takes the packages that PyTorch exports with; the command looks for them before it converts anything.
    """
    architecture = network.architecture
    any_size = torch.export.Dim.DYNAMIC
    encoder_inputs = torch.zeros(2, 30, architecture.embed_dim), torch.tensor([30, 20])
    logs = logging.getLogger("torch.onnx")
    level = logs.level
    logs.setLevel(logging.ERROR)  # which operators of other packages it will not translate
    try:
        with warnings.catch_warnings(), torch.inference_mode(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            torch.onnx.export(
                _Features(network),
                (torch.zeros(1, architecture.samples_for(FEATURE_FRAMES)),),
                folder / "features.onnx",
                input_names=["waveforms"],
                output_names=["features"],
                dynamo=True,
                verbose=False,
            )
            torch.onnx.export(
                _Encoder(network),
                encoder_inputs,
                folder / "encoder.onnx",
                input_names=["features", "counts"],
                output_names=["embeddings"],
                dynamic_shapes={"features": {0: any_size, 1: any_size}, "counts": {0: any_size}},
                dynamo=True,
                verbose=False,
            )
    finally:
        logs.setLevel(level)


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
