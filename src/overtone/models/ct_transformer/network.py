"""CT-Transformer: which punctuation mark follows each word.

Chen et al., "Controllable Time-Delay Transformer for Real-Time Punctuation Prediction and Disfluency Detection", ICASSP
2020 (https://arxiv.org/abs/2003.01309), in FunASR's form: a SANM encoder over the words' vectors, and a linear layer.
Parameter names are those of the published weights. The table of vectors is no part of it; see
`overtone.models.ct_transformer.embedding_table`, which says why.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from overtone.models.checkpoints import Checkpoint
from overtone.models.ct_transformer.config import GRAPH, CtTransformerConfig
from overtone.models.ct_transformer.embedding_table import TENSOR
from overtone.models.graph import Graph
from overtone.models.layers.sanm import SanmEncoder
from overtone.models.weights import load_tensors_into, read_tensors


class CtTransformer(Graph):
    """`embedded`: words' vectors, float32 (B, T, dim). `counts`: how many of each row are real, int64 (B,), at least 1.

    Gives `best`: id of the likeliest mark after each word, int64 (B, T).
    """

    outputs = ("best",)

    def __init__(self, config: CtTransformerConfig) -> None:
        super().__init__()
        self.inputs: Mapping[str, tuple[int, ...]] = {
            "embedded": (-1, -1, config.encoder.input_size),
            "counts": (-1,),
        }
        self.encoder = SanmEncoder(config.encoder)
        self.decoder = nn.Linear(config.encoder.size, config.marks)

    def forward(self, embedded: torch.Tensor, counts: torch.Tensor) -> tuple[torch.Tensor]:
        """See the class."""
        return (self.decoder(self.encoder(embedded, counts)).argmax(dim=-1),)

    def example(self) -> tuple[torch.Tensor, ...]:
        """See Graph."""
        return torch.zeros(2, 30, self.inputs["embedded"][-1]), torch.tensor([30, 21])


def build(checkpoint: Checkpoint, *, strict: bool = True) -> dict[str, Graph]:
    """The network of a checkpoint, with its weights, in float32. Raises CheckpointError.

    strict: refuse tensors that the network does not know.
    """
    config = CtTransformerConfig.from_config(checkpoint.config, checkpoint.name)
    with torch.device("meta"):
        network = CtTransformer(config)
    load_tensors_into(network, read_tensors(checkpoint), checkpoint, unused=rf"{TENSOR}$", strict=strict)
    return {GRAPH: network}
