"""The share of a token in each frame, and where tokens begin, for `cif.py` and `timestamps.py`."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from overtone.models.layers.sanm import valid_frames
from overtone.models.paraformer.config import PredictorConfig


class CifPredictor(nn.Module):
    """FunASR's `CifPredictorV2` and `CifPredictorV3`, under their parameters' names."""

    def __init__(self, size: int, config: PredictorConfig) -> None:
        super().__init__()
        self.config = config
        self.cif_conv1d = nn.Conv1d(size, size, config.left + config.right + 1)
        self.cif_output = nn.Linear(size, 1)
        if config.times:
            self.upsample_cnn = nn.ConvTranspose1d(size, size, config.upsample, config.upsample)
            if config.recurrent:
                self.blstm = nn.LSTM(size, size, batch_first=True, bidirectional=True)
            self.cif_output2 = nn.Linear(size * (1 + config.recurrent), 1)

    def alphas(self, frames: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
        """Share of a token in each frame, and past the last one the tail's: float32 (B, T + 1).

        frames: the encoder's, (B, T, size), zero in padding. counts: int64 (B,), real ones.
        """
        weights = self.weights(frames) * valid_frames(counts, frames.shape[1])
        tail = torch.arange(frames.shape[1] + 1, device=counts.device)[None, :] == counts[:, None]
        return F.pad(weights, (0, 1)) + tail * self.config.tail

    def weights(self, frames: torch.Tensor) -> torch.Tensor:
        """Share of a token in each of these frames, all of them real: float32 (B, T), of (B, T, size)."""
        weights = torch.sigmoid(self.cif_output(self._convolved(frames).transpose(1, 2)))[:, :, 0]
        return F.relu(weights * self.config.smooth - self.config.noise)

    def upsampled_alphas(self, frames: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
        """Weights that fire where tokens begin, not yet scaled to their number: float32 (B, T * upsample).

        Arguments as for `shares`.
        """
        config = self.config
        x = self._convolved(frames) if config.convolved else frames.transpose(1, 2)
        x = self.upsample_cnn(x).transpose(1, 2)
        counts = counts * config.upsample
        if config.recurrent:
            x = _both_ways(self.blstm, x, counts)
        weights = torch.sigmoid(self.cif_output2(x))[:, :, 0]
        weights = F.relu(weights * config.smooth_times - config.noise_times)
        return weights * valid_frames(counts, weights.shape[1])

    def _convolved(self, frames: torch.Tensor) -> torch.Tensor:
        """(B, T, size) to (B, size, T)."""
        near = F.pad(frames.transpose(1, 2), (self.config.left, self.config.right))
        return F.relu(self.cif_conv1d(near))


def _both_ways(lstm: nn.LSTM, x: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
    """A bidirectional layer over rows of true lengths: the way back begins at each row's own end.

    x: (B, T, size). counts: int64 (B,). Returns (B, T, 2 * size).
    """
    frames = x.shape[1]
    place = torch.arange(frames, device=x.device)[None, :]
    # Real frames change places with each other, padding stays where it is.
    mirror = torch.where(place < counts[:, None], counts[:, None] - 1 - place, place)[:, :, None].expand(
        -1, -1, x.shape[2]
    )
    forth = _one_way(lstm, x, "")
    back = _one_way(lstm, torch.gather(x, 1, mirror), "_reverse")
    return torch.cat([forth, torch.gather(back, 1, mirror)], dim=2)


def _one_way(lstm: nn.LSTM, x: torch.Tensor, way: str) -> torch.Tensor:
    weights = [getattr(lstm, f"{name}_l0{way}") for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
    start = x.new_zeros(1, x.shape[0], lstm.hidden_size)
    # Weights, biases there, one layer, no dropout, no training, one direction, batches first.
    return torch.lstm(x, (start, start), weights, True, 1, 0.0, False, False, True)[0]
