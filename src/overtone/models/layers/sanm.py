"""SANM: self-attention beside a memory of neighboring frames. The encoder of Paraformer, SenseVoice, CT-Transformer.

After "SAN-M: Memory Equipped Self-Attention for End-to-End Speech Recognition" (https://arxiv.org/abs/2006.01713).
Parameters have the names that published checkpoints give them. All of it takes true lengths: padded frames are hidden
from attention and zero in the memory, so they change no other frame.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from overtone.models.layers.attention_mask import HIDDEN
from overtone.models.layers.sanm_config import SanmConfig


def valid_frames(counts: torch.Tensor, frames: int) -> torch.Tensor:
    """Mask of the real ones among so many padded frames: bool (B, frames). `counts`: int64 (B,)."""
    return torch.arange(frames, device=counts.device)[None, :] < counts[:, None]


def padding_mask(valid: torch.Tensor) -> torch.Tensor:
    """Addend to attention's scores so that no frame looks at padding: float32 (B, 1, 1, T) of bool (B, T)."""
    return torch.where(valid, 0.0, HIDDEN)[:, None, None, :]


def sinusoids(frames: int, size: int, device: torch.device | str = "cpu") -> torch.Tensor:
    """Positions 1, 2, … as sines, then cosines, of `size / 2` wavelengths from 2π to 20000π: float32 (frames, size)."""
    step = torch.log(torch.full((1,), 10_000.0, device=device)) / (size / 2 - 1)
    rates = torch.exp(torch.arange(size // 2, device=device).float() * -step)
    angles = torch.arange(1, frames + 1, device=device).float()[:, None] * rates
    return torch.cat([torch.sin(angles), torch.cos(angles)], dim=1)


class FsmnMemory(nn.Conv1d):
    """The memory: each channel's weighted sum over `kernel` neighboring frames, and the frame itself.

    `shift` frames more are looked at before and as many less after. Its only parameter is `weight` (size, 1, kernel).
    """

    def __init__(self, size: int, kernel: int, shift: int = 0) -> None:
        super().__init__(size, size, kernel, groups=size, bias=False)
        self._before = (kernel - 1) // 2 + shift
        self._after = kernel - 1 - self._before
        self._reach = max(self._before, self._after)

    def forward(  # type: ignore[override]  # a convolution that knows which frames are real
        self, values: torch.Tensor, valid: torch.Tensor
    ) -> torch.Tensor:
        """Apply the memory.

        - `values`: (B, T, size).
        - `valid`: bool (B, T).

        Returns (B, T, size), meaningless in padded frames.
        """
        values = torch.where(valid[:, :, None], values, 0.0)
        # As an image one column wide: OpenVINO (2026.4) turns four axes at once, and three element by element.
        image = values.unsqueeze(2).permute(0, 3, 1, 2)
        memory = F.conv2d(image, self._kernel()[..., None], padding=(self._reach, 0), groups=self.groups)
        return memory.permute(0, 2, 3, 1).squeeze(2)

    def _kernel(self) -> torch.Tensor:
        """Weights around the frame's own, and one more for the frame itself: (size, 1, 2 * reach + 1).

        So one convolution, which pads by itself, does what padding, convolving and adding did in three passes.
        """
        around = F.pad(self.weight, (self._reach - self._before, self._reach - self._after))
        itself = F.pad(self.weight.new_ones(1), (self._reach, self._reach))
        return around + itself


class FeedForward(nn.Module):
    """Two linear maps of each frame with a ReLU between them."""

    def __init__(self, size: int, units: int) -> None:
        super().__init__()
        self.w_1 = nn.Linear(size, units)
        self.w_2 = nn.Linear(units, size)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, T, size) to the same shape."""
        result: torch.Tensor = self.w_2(F.relu(self.w_1(x)))
        return result

    def products(self) -> tuple[nn.Linear, nn.Linear]:
        """Its two linear maps, for `widen_inner`."""
        return self.w_1, self.w_2


def split_heads(x: torch.Tensor, heads: int) -> torch.Tensor:
    """(B, T, size) to (B, heads, T, size / heads)."""
    return x.reshape(x.shape[0], x.shape[1], heads, -1).transpose(1, 2)


def masked_attention(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, hidden: torch.Tensor | None, heads: int
) -> torch.Tensor:
    """Scaled dot-product attention in `heads` parts. Each (B, T, size); `hidden`: as `padding_mask` gives it."""
    q, k, v = (split_heads(x, heads) for x in (query, key, value))
    mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=hidden)
    return mixed.transpose(1, 2).reshape(query.shape)


class SanmAttention(nn.Module):
    """Self-attention plus the memory of the same values."""

    def __init__(self, input_size: int, config: SanmConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.linear_q_k_v = nn.Linear(input_size, 3 * config.size)
        self.linear_out = nn.Linear(config.size, config.size)
        self.fsmn_block = FsmnMemory(config.size, config.kernel, config.shift)

    def forward(self, x: torch.Tensor, valid: torch.Tensor, hidden: torch.Tensor) -> torch.Tensor:
        """Apply attention and memory.

        - `x`: (B, T, input_size).
        - `valid`: bool (B, T).
        - `hidden`: `padding_mask(valid)`.

        Returns (B, T, size).
        """
        query, key, value = self.linear_q_k_v(x).chunk(3, dim=-1)
        attended = self.linear_out(masked_attention(query, key, value, hidden, self.heads))
        result: torch.Tensor = attended + self.fsmn_block(value, valid)
        return result


class SanmBlock(nn.Module):
    """One layer. Where it changes the size of its input, that is not added to the attention's output."""

    def __init__(self, input_size: int, config: SanmConfig) -> None:
        super().__init__()
        self.residual = input_size == config.size
        self.norm1 = nn.LayerNorm(input_size, eps=config.epsilon)
        self.self_attn = SanmAttention(input_size, config)
        self.norm2 = nn.LayerNorm(config.size, eps=config.epsilon)
        self.feed_forward = FeedForward(config.size, config.units)

    def forward(self, x: torch.Tensor, valid: torch.Tensor, hidden: torch.Tensor) -> torch.Tensor:
        """(B, T, input_size) to (B, T, size); the rest as for attention."""
        attended: torch.Tensor = self.self_attn(self.norm1(x), valid, hidden)
        if self.residual:
            attended = attended + x
        result: torch.Tensor = attended + self.feed_forward(self.norm2(attended))
        return result


class SanmEncoder(nn.Module):
    """The encoder: one stack of layers, or SenseVoice's two, each with a normalization at its end."""

    def __init__(self, config: SanmConfig) -> None:
        super().__init__()
        self.config = config

        def stack(count: int) -> nn.ModuleList:
            return nn.ModuleList(SanmBlock(config.size, config) for _ in range(count))

        self.encoders0 = nn.ModuleList([SanmBlock(config.input_size, config)])
        self.encoders = stack(config.blocks - 1)
        self.after_norm = nn.LayerNorm(config.size, eps=config.epsilon)
        if config.more_blocks is not None:
            self.tp_encoders = stack(config.more_blocks)
            self.tp_norm = nn.LayerNorm(config.size, eps=config.epsilon)

    def forward(self, features: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
        """Encode features; float32 (B, T, size), meaningless in padded frames.

        - `features`: float32 (B, T, input_size).
        - `counts`: int64 (B,), how many frames of each are real, at least one.
        """
        frames, config = features.shape[1], self.config
        valid = valid_frames(counts, frames)
        hidden = padding_mask(valid)
        x: torch.Tensor = features * config.size**0.5
        if config.positions:
            x = x + sinusoids(frames, config.input_size, features.device)
        for block in (*self.encoders0, *self.encoders):
            x = block(x, valid, hidden)
        x = self.after_norm(x)
        if config.more_blocks is not None:
            for block in self.tp_encoders:
                x = block(x, valid, hidden)
            x = self.tp_norm(x)
        return x
