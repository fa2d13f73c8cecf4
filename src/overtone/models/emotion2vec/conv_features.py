"""The convolutional parts of emotion2vec: frames of a waveform, and the place of each frame."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from overtone.models.emotion2vec.config import Architecture


class FeatureExtractor(nn.Module):
    """Waveform to local features: strided convolutions without padding, each frame normalized alone."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self._architecture = architecture
        self.conv_layers = nn.ModuleList()
        channels = 1
        for width, kernel, stride in architecture.conv_layers:
            # The checkpoints' names count FunASR's dropout (1) and its nested norm (2.1); GELU is 3.
            self.conv_layers.append(
                nn.ModuleDict(
                    {
                        "0": nn.Conv1d(channels, width, kernel, stride, bias=False),
                        "2": nn.ModuleDict({"1": nn.LayerNorm(width)}),
                    }
                )
            )
            channels = width

    def forward(self, waveforms: torch.Tensor) -> torch.Tensor:
        """(batch, samples) float to (batch, frames, channels)."""
        x = waveforms.unsqueeze(1)
        for layer in self.conv_layers:
            assert isinstance(layer, nn.ModuleDict)
            assert isinstance(layer["2"], nn.ModuleDict)
            x = layer["0"](x).transpose(1, 2)
            x = F.gelu(layer["2"]["1"](x)).transpose(1, 2)
        return x.transpose(1, 2)


class PositionalEncoder(nn.Module):
    """Grouped convolutions over time that give a frame its place among its neighbors."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        dim, kernel = architecture.embed_dim, architecture.conv_pos_kernel
        # In the checkpoints, place 0 of each sequence is a transposition, or the norm before all.
        convs = {
            str(place + 1): nn.ModuleDict(
                {"0": nn.Conv1d(dim, dim, kernel, padding=kernel // 2, groups=architecture.conv_pos_groups)}
            )
            for place in range(architecture.conv_pos_depth)
        }
        self._dim = dim
        self._pre_norm = architecture.conv_pos_pre_ln
        self._depth = architecture.conv_pos_depth
        if self._pre_norm:
            self.add_module("0", nn.LayerNorm(dim))
            self.add_module("1", nn.ModuleDict(convs))
        else:
            for place, conv in convs.items():
                self.add_module(place, conv)
        # "Same" padding of an even kernel gives one frame too many.
        self._surplus = 1 - kernel % 2

    def forward(self, x: torch.Tensor, valid: torch.Tensor | None) -> torch.Tensor:
        """(batch, frames, dim) to the same shape. `valid`: bool (batch, frames) or None if all are real."""
        if self._pre_norm:
            x = self.get_submodule("0")(x)
        prefix = "1." if self._pre_norm else ""
        for place in range(1, self._depth + 1):
            if valid is not None:
                # What a shorter item would see past its end is zero; what stands there is not.
                x = x * valid.unsqueeze(-1)
            x = self.get_submodule(f"{prefix}{place}.0")(x.transpose(1, 2))
            if self._surplus:
                x = x[:, :, : -self._surplus]
            x = x.transpose(1, 2)
            x = F.gelu(F.layer_norm(x, (self._dim,)))
        return x
