"""Every network but emotion2vec, built from its published checkpoint."""

from __future__ import annotations

from collections.abc import Callable, Mapping

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
