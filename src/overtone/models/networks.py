"""Every network but emotion2vec: built from its published checkpoint, and as OpenVINO models.

The graphs are traced from the modules that PyTorch runs, so there is one definition of each.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any

import torch

from overtone.backends.openvino.runtime import openvino
from overtone.models.campplus import network as campplus
from overtone.models.checkpoints import Checkpoint
from overtone.models.ct_transformer import network as ct_transformer
from overtone.models.fsmn_vad import network as fsmn_vad
from overtone.models.graph import Graph
from overtone.models.paraformer import network as paraformer
from overtone.models.paraformer import streaming_network as paraformer_streaming
from overtone.models.sense_voice import network as sense_voice

_BUILDERS: Mapping[str, Callable[..., dict[str, Graph]]] = {
    "SenseVoiceSmall": sense_voice.build,
    "Paraformer": paraformer.build,
    "BiCifParaformer": paraformer.build,
    "SeacoParaformer": paraformer.build,
    "ParaformerStreaming": paraformer_streaming.build,
    "FsmnVADStreaming": fsmn_vad.build,
    "CTTransformer": ct_transformer.build,
    "CAMPPlus": campplus.build,
}


def build(checkpoint: Checkpoint, *, strict: bool = True) -> dict[str, Graph]:
    """The graphs of a checkpoint by name, with its weights, in float32. Raises CheckpointError.

    strict: refuse tensors that the network does not know.
    """
    return _BUILDERS[checkpoint.kind](checkpoint, strict=strict)


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
