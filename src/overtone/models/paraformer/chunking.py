"""Chunks of a streaming Paraformer, and the shapes of its memory of earlier ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from overtone.errors import CheckpointError, UsageError
from overtone.models.paraformer.config import ParaformerConfig

EVERYTHING = -1
"""Chunks that an encoder looks back at where it remembers all of them."""

MOST_FRAMES = 1000
"""Frames of 60 ms that a stream may remember, and that a chunk may have: a minute, 200 MB with the published shape."""


@dataclass(frozen=True, slots=True)
class Chunks:
    """Sizes of chunks in frames of 60 ms, and of the memory in chunks. FunASR writes the published ones as
    `chunk_size=[0, 10, 5]`, which is `[before, size, ahead]`.

    - `size`: frames of one chunk.
    - `ahead`: frames after it that it is encoded with, by which answers come later.
    - `before`: frames before it that are encoded again with it.
    - `encoder_back`, `decoder_back`: chunks before it that the encoder and the decoder remember; 0 for none. For the
      encoder -1 is all of them.

    Raises UsageError for sizes that no stream can be cut by, and for those that take too much memory.
    """

    size: int = 10
    ahead: int = 5
    encoder_back: int = 4
    decoder_back: int = 1
    before: int = 0

    def __post_init__(self) -> None:
        if self.size < 1 or min(self.ahead, self.before) < 0 or self.before + self.ahead < 1:
            raise UsageError(
                f"a stream is cut into chunks of 1 frame or more, with 1 or more before or ahead, not into "
                f"{[self.before, self.size, self.ahead]}; [0, 10, 5] is what is published."
            )
        longest = max(self.before + self.size + self.ahead, self.size * max(self.encoder_back, self.decoder_back))
        if longest > MOST_FRAMES:
            raise UsageError(
                f"a chunk, and what is looked back at, have {MOST_FRAMES:,} frames of 60 ms at most, not {longest:,}."
            )

    @property
    def overlap(self) -> int:
        """Frames of the chunk before that each is encoded with."""
        return self.before + self.ahead


def memory_shapes(config: ParaformerConfig, layers: int) -> Mapping[str, tuple[int, ...]]:
    """Shapes of a stream's memory, the batch and the number of frames as -1.

    Keys (and values) of the `encoder` and of the `decoder`, (layers, batch, heads, frames, dim / heads), and of
    the last `tokens`, (layers, batch, dim, tokens). `layers`: of the encoder.
    """
    decoder = config.decoder
    heads = config.encoder_heads
    return {
        "encoder": (layers, -1, heads, -1, config.dim // heads),
        "decoder": (decoder.attending, -1, decoder.heads, -1, config.dim // decoder.heads),
        "tokens": (decoder.attending, -1, config.dim, decoder.kernel - 1),
    }


def check_streamable(config: ParaformerConfig, name: str) -> None:
    """CheckpointError for a decoder that cannot go on where it stopped."""
    decoder = config.decoder
    if (decoder.kernel - 1) // 2 + decoder.shift != decoder.kernel - 1:
        raise CheckpointError(
            f"{name}: decoder_conf.sanm_shfit {decoder.shift} lets tokens look at later ones, which no stream can."
        )
    if decoder.more:
        raise CheckpointError(
            f"{name}: decoder_conf.num_blocks is more than att_layer_num, which no stream is known for."
        )
