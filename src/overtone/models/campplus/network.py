"""CAM++: the voice in a stretch of speech, as one vector.

A small residual network over the spectrogram, then a densely connected time-delay network whose layers are gated by the
mean over all frames and over each stretch of 100 of them; mean and deviation over time, and a projection. Wang et al.,
"CAM++: A Fast and Efficient Network for Speaker Verification Using Context-Aware Masking", Interspeech 2023. Parameter
names are those of the published weights.
"""

from __future__ import annotations

from collections import OrderedDict
from types import MappingProxyType

import torch
import torch.nn.functional as F
from torch import nn

from overtone.models.campplus.config import MELS, CamPlusConfig
from overtone.models.checkpoints import Checkpoint
from overtone.models.graph import Graph
from overtone.models.weights import load_tensors_into, read_tensors

_PLANES = 32
"""Channels of the residual network."""

_BLOCKS = ((12, 1), (24, 2), (16, 2))
"""Layers and dilation of each dense block."""

_STRETCH = 100
"""Frames, of 20 ms, whose mean gates a layer beside the mean of all."""


class _Norm(nn.Module):
    """Batch normalization with the statistics of training, for channels in the second dimension."""

    running_mean: torch.Tensor
    running_var: torch.Tensor

    def __init__(self, channels: int, *, affine: bool = True) -> None:
        super().__init__()
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))
        self.weight = nn.Parameter(torch.ones(channels)) if affine else None
        self.bias = nn.Parameter(torch.zeros(channels)) if affine else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias)


class _NormRelu(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.batchnorm = _Norm(channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.relu(self.batchnorm(x))


def _conv2d(taken: int, given: int, kernel: int, stride: int) -> nn.Conv2d:
    return nn.Conv2d(taken, given, kernel, stride=(stride, 1), padding=kernel // 2, bias=False)


class _Residual(nn.Module):
    """Two convolutions beside a shortcut; a stride goes along frequency alone."""

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.conv1 = _conv2d(_PLANES, _PLANES, 3, stride)
        self.bn1 = _Norm(_PLANES)
        self.conv2 = _conv2d(_PLANES, _PLANES, 3, 1)
        self.bn2 = _Norm(_PLANES)
        self.shortcut = nn.Sequential()
        if stride != 1:
            self.shortcut = nn.Sequential(_conv2d(_PLANES, _PLANES, 1, stride), _Norm(_PLANES))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        inner = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(inner + self.shortcut(x))


class _Spectrogram(nn.Module):
    """(batch, mels, frames) to (batch, channels, frames), each channel a plane at one of `MELS // 8` frequencies."""

    channels = _PLANES * (MELS // 8)

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = _conv2d(1, _PLANES, 3, 1)
        self.bn1 = _Norm(_PLANES)
        self.layer1 = nn.Sequential(_Residual(2), _Residual(1))
        self.layer2 = nn.Sequential(_Residual(2), _Residual(1))
        self.conv2 = _conv2d(_PLANES, _PLANES, 3, 2)
        self.bn2 = _Norm(_PLANES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.bn1(self.conv1(x.unsqueeze(1))))
        x = self.layer2(self.layer1(x))
        return F.relu(self.bn2(self.conv2(x))).flatten(1, 2)


class _Gated(nn.Module):
    """A dilated convolution, each channel weighted by means over all frames and over a stretch of them."""

    def __init__(self, taken: int, given: int, dilation: int) -> None:
        super().__init__()
        self.linear_local = nn.Conv1d(taken, given, 3, padding=dilation, dilation=dilation, bias=False)
        self.linear1 = nn.Conv1d(taken, taken // 2, 1)
        self.linear2 = nn.Conv1d(taken // 2, given, 1)

    def forward(self, x: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
        frames = x.shape[2]
        # Not by a pooling that takes what there is: OpenVINO's makes nothing of fewer frames than its kernel has.
        sums = F.pad(x, (0, -frames % _STRETCH)).view(*x.shape[:2], -1, _STRETCH).sum(dim=3)
        context = F.relu(self.linear1(x.mean(dim=2, keepdim=True) + sums / counts))
        gates = torch.sigmoid(self.linear2(context)).unsqueeze(3).expand(-1, -1, -1, _STRETCH).flatten(2)
        found: torch.Tensor = self.linear_local(x) * gates[:, :, :frames]
        return found


class _Layer(nn.Module):
    """A layer of a dense block: what it finds in everything before it."""

    def __init__(self, taken: int, config: CamPlusConfig, dilation: int) -> None:
        super().__init__()
        inner = config.bottleneck * config.growth
        self.nonlinear1 = _NormRelu(taken)
        self.linear1 = nn.Conv1d(taken, inner, 1, bias=False)
        self.nonlinear2 = _NormRelu(inner)
        self.cam_layer = _Gated(inner, config.growth, dilation)

    def forward(self, x: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.cam_layer(self.nonlinear2(self.linear1(self.nonlinear1(x))), counts)
        return found


class _Dense(nn.Sequential):
    """A block each of whose layers sees the block's input and all layers before."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        # Frames of each stretch: the last has what is left.
        counts = (x.shape[2] - torch.arange(0, x.shape[2], _STRETCH, device=x.device)).clamp(max=_STRETCH).float()
        for layer in self:
            x = torch.cat((x, layer(x, counts)), dim=1)
        return x


class _Transit(nn.Module):
    """Half the channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.nonlinear = _NormRelu(channels)
        self.linear = nn.Conv1d(channels, channels // 2, 1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.linear(self.nonlinear(x))
        return found


class _First(nn.Module):
    """Five frames to one, every second frame."""

    def __init__(self, taken: int, given: int) -> None:
        super().__init__()
        self.linear = nn.Conv1d(taken, given, 5, stride=2, padding=2, bias=False)
        self.nonlinear = _NormRelu(given)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.nonlinear(self.linear(x))
        return found


class _Statistics(nn.Module):
    """(batch, channels, frames) to mean and deviation, (batch, 2 * channels, 1)."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mean = x.mean(dim=2, keepdim=True)
        # In steps, of which every runtime makes the same.
        variance = (x - mean).square().sum(dim=2, keepdim=True) / (x.shape[2] - 1)
        return torch.cat((mean, variance.sqrt()), dim=1)


class _Projection(nn.Module):
    def __init__(self, taken: int, given: int) -> None:
        super().__init__()
        self.linear = nn.Conv1d(taken, given, 1, bias=False)
        self.nonlinear = nn.Sequential(OrderedDict(batchnorm=_Norm(given, affine=False)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.nonlinear(self.linear(x)).squeeze(2)
        return found


class CamPlus(Graph):
    """Features, float32 (batch, frames, MELS), to embeddings, float32 (batch, config.embedding).

    Features have a mean of 0 over time. All rows are of the same length, of three frames at least: windows are.
    """

    inputs = MappingProxyType({"features": (-1, -1, MELS)})
    outputs = ("embeddings",)

    def __init__(self, config: CamPlusConfig) -> None:
        super().__init__()
        self.config = config
        self.head = _Spectrogram()
        parts: OrderedDict[str, nn.Module] = OrderedDict(tdnn=_First(_Spectrogram.channels, config.channels))
        channels = config.channels
        for number, (layers, dilation) in enumerate(_BLOCKS, start=1):
            block: OrderedDict[str, nn.Module] = OrderedDict(
                (f"tdnnd{i + 1}", _Layer(channels + i * config.growth, config, dilation)) for i in range(layers)
            )
            parts[f"block{number}"] = _Dense(block)
            channels += layers * config.growth
            parts[f"transit{number}"] = _Transit(channels)
            channels //= 2
        parts["out_nonlinear"] = _NormRelu(channels)
        parts["stats"] = _Statistics()
        parts["dense"] = _Projection(2 * channels, config.embedding)
        self.xvector = nn.Sequential(parts)

    def forward(self, features: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """See the class."""
        return (self.xvector(self.head(features.transpose(1, 2))),)

    def example(self) -> tuple[torch.Tensor, ...]:
        """See Graph. Long enough for a stretch and a part of one."""
        return (torch.randn(2, 230, MELS, generator=torch.Generator().manual_seed(0)),)


def build(checkpoint: Checkpoint, *, strict: bool = True) -> dict[str, Graph]:
    """The graph `speaker` of a published CAM++. CheckpointError for one that is broken or has options not known."""
    config = CamPlusConfig.from_config(checkpoint.config, checkpoint.name)
    with torch.device("meta"):
        network = CamPlus(config)
    load_tensors_into(network, read_tensors(checkpoint), checkpoint, unused=r".*\.num_batches_tracked$", strict=strict)
    return {"speaker": network}
