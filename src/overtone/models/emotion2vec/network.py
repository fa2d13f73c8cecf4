"""emotion2vec (Ma et al., 2023, arXiv:2312.15185): a data2vec 2.0 audio encoder with a linear head.

Inference only, and exact in a batch: every operation that could let one item's padding reach another item, or its
own valid frames, takes the true lengths. Module and parameter names are those of the published checkpoints, so
`state_dict` keys match FunASR's one for one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import torch
import torch.nn.functional as F
from torch import nn

from overtone.models.emotion2vec.config import Architecture
from overtone.models.emotion2vec.conv_features import FeatureExtractor, PositionalEncoder
from overtone.models.layers.alibi_attention import Attend, AttendBy, alibi_slopes, attend

CHUNK_FRAMES = 100
"""Frames (2 s) that the feature extractor makes at a time. Its layers widen the waveform 100-fold
(512 channels at 3.2 kHz); done in chunks, that never exists for more than 2 s of audio. Frames see 25 ms
each and nothing else, so chunks change nothing."""

_TAIL_FRAMES = 20
"""Frames. The last chunk is rounded up to a multiple, so that convolutions meet five lengths and no more: oneDNN keeps
a compiled kernel for every shape it has met, and memory would grow with every new length."""

_POSITION_FRAMES = 64
"""Frames. On a CPU the positional convolutions meet multiples of it only, for the same reason."""


class Attention(nn.Module):
    """The projections of multi-head self-attention; the caller gives the attention between them."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self._heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: torch.Tensor, attend: Attend) -> torch.Tensor:
        """(batch, tokens, dim) to the same shape. attend: from (batch, heads, tokens, head_dim) thrice to once."""
        # By last dimensions only: no length of this layer is to turn up in another one's exported graph.
        qkv = self.qkv(x).unflatten(-1, (3, self._heads, -1))
        query, key, value = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        x = attend(query, key, value)
        out: torch.Tensor = self.proj(x.transpose(1, 2).flatten(-2))
        return out


class Mlp(nn.Module):
    """The two-layer feed-forward part of a block."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden)
        self.fc2 = nn.Linear(hidden, dim)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(…, dim) to the same shape."""
        out: torch.Tensor = self.fc2(F.gelu(self.fc1(x)))
        return out

    def products(self) -> tuple[nn.Linear, nn.Linear]:
        """Its two linear maps, for `widen_inner`."""
        return self.fc1, self.fc2


class Block(nn.Module):
    """One transformer block."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        dim = architecture.embed_dim
        self._norm_first = architecture.layer_norm_first
        self.norm1 = _norm(architecture)
        self.attn = Attention(dim, architecture.num_heads)
        self.norm2 = _norm(architecture)
        self.mlp = Mlp(dim, int(dim * architecture.mlp_ratio))

    def forward(self, x: torch.Tensor, attend: Attend) -> torch.Tensor:
        """(batch, tokens, dim) to the same shape; see `Attention` for attend."""
        if self._norm_first:
            x = x + self.attn(self.norm1(x), attend)
            # As published: the residual here is the feed-forward part's own output, not its input.
            out: torch.Tensor = 2 * self.mlp(self.norm2(x))
            return out
        x = self.norm1(x + self.attn(x, attend))
        out = self.norm2(x + self.mlp(x))
        return out


class ContextEncoder(nn.Module):
    """The first blocks ("prenet") and the norm before them (or after, with norm-first blocks)."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Block(architecture) for _ in range(architecture.prenet_depth))
        self.norm = None if architecture.layer_norm_first else _norm(architecture)


class AudioEncoder(nn.Module):
    """Everything of the audio modality: features, positions, extra tokens, prenet."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        channels, dim = architecture.conv_layers[-1][0], architecture.embed_dim
        self.local_encoder = FeatureExtractor(architecture)
        self.project_features = nn.ModuleDict({"1": nn.LayerNorm(channels), "2": nn.Linear(channels, dim)})
        self.relative_positional_encoder = PositionalEncoder(architecture)
        self.context_encoder = ContextEncoder(architecture)
        self.extra_tokens = (
            nn.Parameter(torch.zeros(1, architecture.num_extra_tokens, dim)) if architecture.num_extra_tokens else None
        )
        self.alibi_scale = None
        if architecture.use_alibi_encoder:
            layers = architecture.prenet_depth + architecture.depth
            shape = (
                layers if architecture.learned_alibi_scale_per_layer else 1,
                1,
                architecture.num_alibi_heads if architecture.learned_alibi_scale_per_head else 1,
                1,
                1,
            )
            self.alibi_scale = nn.Parameter(torch.full(shape, architecture.alibi_scale))


class Emotion2vec(nn.Module):
    """The whole network up to the final frame embeddings. The head is applied by `models/classifier.py`."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.architecture = architecture
        self.modality_encoders = nn.ModuleDict({"AUDIO": AudioEncoder(architecture)})
        self._attend: AttendBy = attend
        self._slopes: list[torch.Tensor] | None = None
        self.blocks = nn.ModuleList(Block(architecture) for _ in range(architecture.depth))
        self.norm = _norm(architecture) if architecture.layer_norm_first else None

    def set_attention(self, how: AttendBy) -> None:
        """Attend in another way than `attend`, with the same answers."""
        self._attend = how

    def named_blocks(self) -> Iterator[tuple[str, Block]]:
        """The transformer blocks in the order in which they run, by their names in `state_dict`."""
        for prefix, blocks in (
            ("modality_encoders.AUDIO.context_encoder.blocks", self.audio.context_encoder.blocks),
            ("blocks", self.blocks),
        ):
            for index, block in enumerate(blocks):
                assert isinstance(block, Block)
                yield f"{prefix}.{index}", block

    @property
    def audio(self) -> AudioEncoder:
        """The encoder of the one modality there is."""
        encoder = self.modality_encoders["AUDIO"]
        assert isinstance(encoder, AudioEncoder)
        return encoder

    def forward(self, waveforms: torch.Tensor, frames: torch.Tensor | None = None) -> torch.Tensor:
        """Frame embeddings of a batch.

        waveforms: (batch, samples), already normalized over their true lengths, zero-padded on the right.
        frames: integer (batch,), `architecture.frames_of` the true lengths; None if nothing is padded.
        Returns (batch, frames, dim); rows past an item's own frames are meaningless.
        """
        return self.encode(self.features(waveforms), frames)

    def features(self, waveforms: torch.Tensor) -> torch.Tensor:
        """(batch, samples) to projected local features (batch, frames, dim), in chunks of time.

        On a CPU one row at a time, so that what a chunk makes fits the caches and does not grow with the batch.
        """
        rows = 1 if waveforms.device.type == "cpu" else len(waveforms)
        frames = self.architecture.frames_of(waveforms.shape[1])
        out = waveforms.new_empty(len(waveforms), frames, self.architecture.embed_dim)
        for first in range(0, len(waveforms), rows):
            some = slice(first, first + rows)
            done = 0
            for chunk in self._chunks(waveforms[some]):
                part = self.project(self.audio.local_encoder(chunk))[:, : frames - done]
                out[some, done : done + part.shape[1]] = part
                done += part.shape[1]
        return out

    def _chunks(self, waveforms: torch.Tensor) -> Iterator[torch.Tensor]:
        """Overlapping stretches of `CHUNK_FRAMES` frames each, the last one fewer, in steps of `_TAIL_FRAMES`."""
        a = self.architecture
        frames = -(-a.frames_of(waveforms.shape[1]) // _TAIL_FRAMES) * _TAIL_FRAMES
        # Zeros on the right make frames that `features` takes off again, and reach no other.
        waveforms = F.pad(waveforms, (0, max(0, a.samples_for(frames) - waveforms.shape[1])))
        for first in range(0, frames, CHUNK_FRAMES):
            count = min(CHUNK_FRAMES, frames - first)
            start = first * a.hop_samples
            yield waveforms[:, start : start + a.samples_for(count)]

    def project(self, x: torch.Tensor) -> torch.Tensor:
        """The feature extractor's channels (…, channels) to the transformer's width (…, dim)."""
        project = self.audio.project_features
        y: torch.Tensor = project["2"](project["1"](x))
        return y

    def encode(self, x: torch.Tensor, frames: torch.Tensor | None) -> torch.Tensor:
        """Local features (batch, frames, dim) and true frame counts (batch,) to frame embeddings."""
        extra = self.architecture.num_extra_tokens
        frames_valid, tokens_valid = None, None
        if frames is not None:
            frames_valid = torch.arange(x.shape[1], device=x.device)[None, :] < frames[:, None]
            tokens_valid = F.pad(frames_valid, (extra, 0), value=True)

        def attention(layer: int) -> Attend:
            return partial(self._attend, slopes=self.slopes(layer), valid=tokens_valid, extra=extra)

        return self.transform(x + self._positions(x, frames_valid), attention)

    def transform(self, x: torch.Tensor, attention: Callable[[int], Attend]) -> torch.Tensor:
        """Frames with their positions (batch, frames, dim) through all blocks; `attention` gives each layer's own."""
        audio = self.audio
        if audio.extra_tokens is not None:
            x = torch.cat([audio.extra_tokens.to(x.dtype).expand(x.shape[0], -1, -1), x], dim=1)
        if audio.context_encoder.norm is not None:
            x = audio.context_encoder.norm(x)
        for layer, block in enumerate([*audio.context_encoder.blocks, *self.blocks]):
            x = block(x, attention(layer))
        if self.norm is not None:
            x = self.norm(x)
        return x[:, self.architecture.num_extra_tokens :]

    def _positions(self, x: torch.Tensor, valid: torch.Tensor | None) -> torch.Tensor:
        """Positional encoding; on a CPU row by row and rounded up, so that convolutions meet few lengths."""
        encoder = self.audio.relative_positional_encoder
        if x.device.type != "cpu":
            return encoder(x, valid)  # type: ignore[no-any-return] # modules are called untyped
        frames = x.shape[1]
        surplus = -frames % _POSITION_FRAMES
        if surplus:
            # Hidden like any padding, and taken off again.
            valid = x.new_ones(x.shape[:2], dtype=torch.bool) if valid is None else valid
            x, valid = F.pad(x, (0, 0, 0, surplus)), F.pad(valid, (0, surplus))
        rows = [encoder(x[i : i + 1], None if valid is None else valid[i : i + 1])[:, :frames] for i in range(len(x))]
        return torch.cat(rows)

    @property
    def scales_per_layer(self) -> bool:
        """True if each layer has separate ALiBi scales."""
        return self.audio.alibi_scale is not None and self.audio.alibi_scale.shape[0] > 1

    def set_alibi_slopes(self) -> None:
        """Work out all slopes once and for all, where the weights are now: on a GPU each time is a wait for it."""
        if self.audio.alibi_scale is not None:
            found = [self.slopes(layer) for layer, _ in enumerate(self.named_blocks())]
            self._slopes = [slopes.detach() for slopes in found if slopes is not None]

    def slopes(self, layer: int) -> torch.Tensor | None:
        """ALiBi slopes of a layer with the learned scale in them, float32 (heads,)."""
        scales = self.audio.alibi_scale
        if scales is None:
            return None
        if self._slopes is not None:
            return self._slopes[layer]
        scale = scales[layer if self.scales_per_layer else 0].float().clamp_min(0).flatten()
        return torch.tensor(alibi_slopes(self.architecture.num_heads), device=scale.device) * scale


def _norm(architecture: Architecture) -> nn.LayerNorm:
    return nn.LayerNorm(architecture.embed_dim, eps=architecture.norm_eps, elementwise_affine=architecture.norm_affine)
