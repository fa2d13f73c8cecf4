"""The network of FunASR's FSMN-VAD: the probability of silence every 10 ms. It hears the past only, and carries it
along.

Deep-FSMN, https://arxiv.org/abs/1803.05030: layers of a projection, a memory and an expansion. The memory is a sum over
the last `lorder` frames, each dimension with separate weights.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from overtone.errors import CheckpointError
from overtone.models.checkpoints import Checkpoint
from overtone.models.fsmn_vad.config import FsmnConfig
from overtone.models.fsmn_vad.options import VadOptions
from overtone.models.graph import Graph
from overtone.models.weights import load_tensors_into, read_tensors

GRAPH = "scores"
"""Name of the network's only graph."""

_EXAMPLE_FRAMES = 7


class Affine(nn.Module):
    """A matrix product, under the name that FunASR gives its weights."""

    def __init__(self, inputs: int, outputs: int, *, bias: bool = True) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, outputs, bias=bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(…, inputs) to (…, outputs)."""
        out: torch.Tensor = self.linear(x)
        return out


class Memory(nn.Module):
    """A frame and a weighted sum over the last `lorder` frames, itself among them, dimension by dimension."""

    def __init__(self, config: FsmnConfig) -> None:
        super().__init__()
        dim = config.proj_dim
        self.conv_left = nn.Conv2d(dim, dim, (config.lorder, 1), dilation=(config.lstride, 1), groups=dim, bias=False)

    def forward(self, x: torch.Tensor, before: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """x: (1, T, dim). before: (1, dim, frames), those right before it. The same two for what comes next."""
        x = x.transpose(1, 2)
        heard = torch.cat((before, x), dim=2)
        out = x + self.conv_left(heard.unsqueeze(3)).squeeze(3)
        return out.transpose(1, 2), heard[:, :, -before.shape[2] :]


class Layer(nn.Module):
    """Projection, memory, expansion, rectified."""

    def __init__(self, config: FsmnConfig) -> None:
        super().__init__()
        self.linear = Affine(config.linear_dim, config.proj_dim, bias=False)
        self.fsmn_block = Memory(config)
        self.affine = Affine(config.proj_dim, config.linear_dim)

    def forward(self, x: torch.Tensor, before: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """x: (1, T, linear_dim). before: see Memory."""
        x, after = self.fsmn_block(self.linear(x), before)
        return torch.relu(self.affine(x)), after


class Fsmn(nn.Module):
    """From features to the logits of states."""

    def __init__(self, config: FsmnConfig) -> None:
        super().__init__()
        self.in_linear1 = Affine(config.input_dim, config.input_affine_dim)
        self.in_linear2 = Affine(config.input_affine_dim, config.linear_dim)
        self.fsmn = nn.ModuleList(Layer(config) for _ in range(config.fsmn_layers))
        self.out_linear1 = Affine(config.linear_dim, config.output_affine_dim)
        self.out_linear2 = Affine(config.output_affine_dim, config.output_dim)

    def forward(self, features: torch.Tensor, memory: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """features: (1, T, input_dim). memory: (layers, 1, proj_dim, frames). Logits (1, T, output_dim), and memory."""
        x = torch.relu(self.in_linear2(self.in_linear1(features)))
        after = []
        for layer, before in zip(self.fsmn, memory, strict=True):
            x, last = layer(x, before)
            after.append(last)
        return self.out_linear2(self.out_linear1(x)), torch.stack(after)


class FsmnScores(Graph):
    """Probability of silence in each frame, and the memory for the next block of the same stream."""

    outputs = ("silence", "carried")  # another name than its input: OpenVINO would rename it

    def __init__(self, config: FsmnConfig, silence_ids: tuple[int, ...]) -> None:
        super().__init__()
        self.encoder = Fsmn(config)
        self.inputs: Mapping[str, tuple[int, ...]] = {"features": (1, -1, config.input_dim), "memory": config.memory}
        self._silence_ids = list(silence_ids)

    def forward(self, features: torch.Tensor, memory: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """features: (1, T, input_dim), memory: (layers, 1, proj_dim, frames). (1, T), and memory as it was given."""
        logits, after = self.encoder(features, memory)
        return torch.softmax(logits, dim=2)[:, :, self._silence_ids].sum(dim=2), after

    def example(self) -> tuple[torch.Tensor, ...]:
        """See Graph. Only one stream at a time, so one row."""
        (_, _, dim), memory = self.inputs.values()
        return torch.zeros(1, _EXAMPLE_FRAMES, dim), torch.zeros(memory)


def build(checkpoint: Checkpoint, *, strict: bool = True) -> dict[str, Graph]:
    """The graph `scores` of a published `FsmnVADStreaming`.

    Raises CheckpointError where the configuration asks for something that is not implemented, or the
    weights do not fit it. strict: refuse tensors that the network does not know.
    """
    config = FsmnConfig.from_config(checkpoint.config, checkpoint.name)
    options = VadOptions.from_config(checkpoint.config.get("model_conf"), checkpoint.name)
    if max(options.sil_pdf_ids) >= config.output_dim:
        raise CheckpointError(
            f"{checkpoint.name}: model_conf.sil_pdf_ids in config.yaml names {max(options.sil_pdf_ids)}, but there are "
            f"only {config.output_dim} outputs."
        )
    with torch.device("meta"):
        graph = FsmnScores(config, options.sil_pdf_ids)
    load_tensors_into(graph, read_tensors(checkpoint), checkpoint, strict=strict)
    return {GRAPH: graph}
