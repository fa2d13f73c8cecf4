"""Chunks of a streaming Paraformer, and the shapes of its memory of earlier ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from overtone.errors import CheckpointError, UsageError
from overtone.models.paraformer.config import ParaformerConfig


@dataclass(frozen=True, slots=True)
class Chunks:
    """Sizes of chunks in frames of 60 ms, and of the memory in chunks. FunASR writes the published ones as
    `chunk_size=[0, 10, 5]`.

    - `size`: frames of one chunk.
    - `ahead`: frames after it that it is encoded with, by which answers come later.
    - `encoder_back`, `decoder_back`: chunks before it that the encoder and the decoder remember.
    """

    size: int = 10
    ahead: int = 5
    encoder_back: int = 4
    decoder_back: int = 1

    def __post_init__(self) -> None:
        if min(self.size, self.ahead, self.encoder_back, self.decoder_back) < 1:
            raise UsageError(
                "a stream is cut into chunks of 1 frame or more, with 1 or more ahead and to look back at."
            )


def memory_shapes(config: ParaformerConfig, chunks: Chunks, layers: int) -> Mapping[str, tuple[int, ...]]:
    """Shapes of a stream's memory, the batch as -1.

    Keys (and values) of the `encoder` and of the `decoder`, (layers, batch, heads, frames, dim / heads), and of
    the last `tokens`, (layers, batch, dim, tokens). `layers`: of the encoder.
    """
    decoder = config.decoder
    heads = config.encoder_heads
    return {
        "encoder": (layers, -1, heads, chunks.encoder_back * chunks.size, config.dim // heads),
        "decoder": (
            decoder.attending,
            -1,
            decoder.heads,
            chunks.decoder_back * chunks.size,
            config.dim // decoder.heads,
        ),
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
