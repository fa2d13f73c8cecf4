"""A Paraformer for speech that is still going on: chunks in, new text out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from overtone.audio import Decoder, Readable
from overtone.compat.arguments import validate_arguments
from overtone.compat.inputs import named
from overtone.compat.standalone import StandaloneModel, answers
from overtone.compat.vad import STATE_KEY, cached_stream, samples_at_16k
from overtone.errors import UsageError
from overtone.models.checkpoints import Checkpoint
from overtone.models.paraformer.streaming_task import ParaformerStream, StreamingParaformer
from overtone.types import SAMPLE_RATE, Audio

_CHUNKS = ("chunk_size", "encoder_chunk_look_back", "decoder_chunk_look_back")

_KNOWN = (*_CHUNKS, "cache", "fs", "is_final", "key")


class StreamingAdapter(StandaloneModel):
    """FunASR's calls for a streaming model. A stream is known by the caller's `cache`."""

    def __init__(self, checkpoint: Checkpoint, arguments: Mapping[str, Any], options: Mapping[str, Any]) -> None:
        self._defaults = validate_arguments(arguments, "AutoModel", _CHUNKS)
        self._model = StreamingParaformer(checkpoint)
        super().__init__(checkpoint, options)

    def generate(
        self, input: Any, progress: Callable[[int, int], None] | None, arguments: Mapping[str, Any]
    ) -> list[dict[str, Any]]:
        """`key` and `text` of each input: the text that is new. A file is a whole stream."""
        wanted = {**self._defaults, **validate_arguments(arguments, "generate", _KNOWN)}
        self._check(wanted)
        inputs = named(input, wanted.get("key"), wanted.get("fs", SAMPLE_RATE))
        return answers(inputs, lambda key, source: {"key": key, "text": self._text(source, wanted)}, progress)

    def _check(self, wanted: Mapping[str, Any]) -> None:
        """UsageError for a stream that is cut otherwise than the network is made for.

        FunASR looks back at nothing by default, so the published values have to be given.
        """
        chunks = self._model.chunks
        done = {
            "chunk_size": [0, chunks.size, chunks.ahead],
            "encoder_chunk_look_back": chunks.encoder_back,
            "decoder_chunk_look_back": chunks.decoder_back,
        }
        usual = {"chunk_size": [0, 10, 5], "encoder_chunk_look_back": 0, "decoder_chunk_look_back": 0}
        for name, value in done.items():
            given = wanted.get(name, usual[name])
            if (list(given) if isinstance(given, tuple) else given) != value:
                raise UsageError(f"{name}={given!r} is not done here; {name}={value!r}, as published, is.")

    def _text(self, source: Readable, wanted: Mapping[str, Any]) -> str:
        tokens = self._chunk(source, wanted) if isinstance(source, Audio) else self._whole(source)
        return self._model.tokens.text(tokens)

    def _whole(self, source: Readable) -> list[int]:
        """Tokens of a whole stream."""
        stream = self._model.stream(self._run)
        tokens: list[int] = []
        with Decoder(source, pool=self._pool) as decoder:
            for block in decoder.blocks():
                tokens += stream.push(block).tokens.tolist()
        tokens += stream.finish().tokens.tolist()
        return tokens

    def _chunk(self, source: Audio, wanted: Mapping[str, Any]) -> list[int]:
        """Tokens that a part of the stream in the caller's `cache` completes."""
        cache = wanted.get("cache")
        cache = {} if cache is None else cache
        stream = cached_stream(cache, ParaformerStream) or self._model.stream(self._run)
        tokens: list[int] = stream.push(samples_at_16k(source)).tokens.tolist()
        if wanted.get("is_final", False):
            cache.pop(STATE_KEY, None)
            tokens += stream.finish().tokens.tolist()
        else:
            cache[STATE_KEY] = stream
        return tokens
