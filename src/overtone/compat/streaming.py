"""A Paraformer for speech that is still going on: chunks in, new text out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from overtone.audio import Decoder, Readable
from overtone.compat.arguments import Arguments, whole_number
from overtone.compat.inputs import named
from overtone.compat.standalone import StandaloneModel, answers
from overtone.compat.vad import STATE_KEY, cached_stream, samples_at_16k
from overtone.errors import UsageError
from overtone.models.checkpoints import Checkpoint
from overtone.models.paraformer.chunking import EVERYTHING, Chunks
from overtone.models.paraformer.streaming_task import ParaformerStream, StreamingParaformer
from overtone.types import SAMPLE_RATE, Audio

_CHUNKS = ("chunk_size", "encoder_chunk_look_back", "decoder_chunk_look_back")

_KNOWN = (*_CHUNKS, "cache", "fs", "is_final", "key")


class StreamingAdapter(StandaloneModel):
    """FunASR's calls for a streaming model. A stream is known by the caller's `cache`."""

    def __init__(
        self, checkpoint: Checkpoint, given: Mapping[str, Any], options: Mapping[str, Any], arguments: Arguments
    ) -> None:
        self._defaults = arguments.heeded(given, "AutoModel", _CHUNKS, checkpoint=checkpoint)
        self._arguments = arguments
        self._model = StreamingParaformer(checkpoint)
        super().__init__(checkpoint, options)

    def generate(
        self, input: Any, progress: Callable[[int, int], None] | None, arguments: Mapping[str, Any]
    ) -> list[dict[str, Any]]:
        """`key` and `text` of each input: the text that is new. A file is a whole stream."""
        wanted = {**self._defaults, **self._arguments.heeded(arguments, "generate", _KNOWN)}
        chunks = _chunks(wanted)
        inputs = named(input, wanted.get("key"), wanted.get("fs", SAMPLE_RATE), in_parts="cache" in wanted)
        return answers(inputs, lambda key, source: {"key": key, "text": self._text(source, chunks, wanted)}, progress)

    def _text(self, source: Readable, chunks: Chunks, wanted: Mapping[str, Any]) -> str:
        tokens = self._part(source, chunks, wanted) if isinstance(source, Audio) else self._whole(source, chunks)
        return self._model.tokens.text(tokens)

    def _whole(self, source: Readable, chunks: Chunks) -> list[int]:
        """Tokens of a whole stream."""
        stream = self._model.stream(self._run, chunks)
        tokens: list[int] = []
        with Decoder(source, pool=self._pool) as decoder:
            for block in decoder.blocks():
                tokens += stream.push(block).tokens.tolist()
        tokens += stream.finish().tokens.tolist()
        return tokens

    def _part(self, source: Audio, chunks: Chunks, wanted: Mapping[str, Any]) -> list[int]:
        """Tokens that a part of the stream in the caller's `cache` completes."""
        cache = wanted.get("cache")
        cache = {} if cache is None else cache
        stream = cached_stream(cache, ParaformerStream) or self._model.stream(self._run, chunks)
        if stream.chunks != chunks:
            raise UsageError(f"{', '.join(_CHUNKS)} of a stream stay as they are until is_final=True.")
        tokens: list[int] = stream.push(samples_at_16k(source)).tokens.tolist()
        if wanted.get("is_final", False):
            cache.pop(STATE_KEY, None)
            tokens += stream.finish().tokens.tolist()
        else:
            cache[STATE_KEY] = stream
        return tokens


def _chunks(wanted: Mapping[str, Any]) -> Chunks:
    """The chunks that these arguments cut a stream into; by default as in FunASR, which looks back at nothing then."""
    given = wanted.get("chunk_size")
    sizes = list(given) if isinstance(given, list | tuple) else [0, 10, 5] if given is None else []
    if len(sizes) != 3:
        raise UsageError(f"chunk_size={given!r}: three numbers of frames are meant, such as [0, 10, 5].")
    before, size, ahead = (whole_number("chunk_size", value, minimum=0) for value in sizes)
    backs = (wanted.get(name) or 0 for name in _CHUNKS[1:])
    encoder, decoder = (
        whole_number(name, value, minimum=EVERYTHING) for name, value in zip(_CHUNKS[1:], backs, strict=True)
    )
    # FunASR's decoder looks back at nothing where it is asked for everything.
    return Chunks(size, ahead, encoder, max(decoder, 0), before)
