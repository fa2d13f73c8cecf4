"""FSMN-VAD: spans of speech in files, and in streams that are still going on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, TypeVar

import numpy as np

from overtone.audio import Decoder, Readable
from overtone.audio.pcm import pcm_float32, sample_array
from overtone.compat.arguments import Arguments
from overtone.compat.inputs import named
from overtone.compat.standalone import StandaloneModel, answers
from overtone.errors import UsageError
from overtone.models.checkpoints import Checkpoint
from overtone.models.features.fbank import frames_of
from overtone.models.fsmn_vad.options import VadOptions
from overtone.models.fsmn_vad.scorer import FsmnStream, FsmnVad, Scores
from overtone.segmentation.fsmn.endpoint_detector import LOOKAHEAD, EndpointDetector, Spans
from overtone.types import SAMPLE_RATE, Audio, Samples

PER_CALL = ("chunk_size", "dynamic_silence", "max_end_silence_time", "silence_schedule", "speech_noise_thres")
"""Options of the VAD that a call may give too, as in FunASR."""

_SETTLED = tuple(field.name for field in fields(VadOptions) if field.name not in PER_CALL)

_STREAMS_BELOW_MS = 15_000
"""Chunks shorter than this are those of a stream, unless `is_streaming_input` says otherwise."""

_Stream = TypeVar("_Stream")

STATE_KEY = "overtone"
"""Key of the stream in the caller's `cache`."""


class VadDefaults:
    """Options that calls of a VAD begin with: its checkpoint's, and FunASR's `vad_kwargs`, which win over them.

    Raises UsageError for an option that is not known.
    """

    def __init__(self, checkpoint: Checkpoint, kwargs: Mapping[str, Any], arguments: Arguments) -> None:
        given = arguments.heeded(kwargs, "vad_kwargs", (*PER_CALL, *_SETTLED), checkpoint=checkpoint)
        self._given = {name: value for name, value in given.items() if value is not None}
        self._checkpoint = checkpoint
        self.options = self.for_call({})

    @property
    def max_segment_s(self) -> float:
        """Seconds of the longest segment: a segment that is cut has one frame more than there may be."""
        return (self.options.max_single_segment_time + 10) / 1000

    def for_call(self, wanted: Mapping[str, Any]) -> VadOptions:
        """Options of one call: these, and over them those of its arguments that a call may give."""
        own = {name: wanted[name] for name in PER_CALL if wanted.get(name) is not None}
        conf, name = self._checkpoint.config.get("model_conf") or {}, self._checkpoint.name
        return VadOptions.from_config(conf, name, **{**self._given, **own})


class VadAdapter(StandaloneModel):
    """FunASR's calls for an FSMN-VAD."""

    def __init__(
        self, checkpoint: Checkpoint, given: Mapping[str, Any], options: Mapping[str, Any], arguments: Arguments
    ) -> None:
        own = arguments.heeded(given, "AutoModel", (*PER_CALL, *_SETTLED), checkpoint=checkpoint)
        self._defaults = VadDefaults(checkpoint, own, arguments)
        self._arguments = arguments
        self._vad = FsmnVad(checkpoint)
        super().__init__(checkpoint, options)

    def generate(
        self, input: Any, progress: Callable[[int, int], None] | None, arguments: Mapping[str, Any]
    ) -> list[dict[str, Any]]:
        """`key` and `value`, `[[start_ms, end_ms], …]`, of each input.

        Of a stream its events instead: `[start, -1]`, `[-1, end]`.
        """
        for name in _SETTLED:
            if name in arguments:
                raise UsageError(f"{name} is settled when the model is made: AutoModel({name}={arguments[name]!r}).")
        known = (*PER_CALL, "cache", "fs", "is_final", "is_streaming_input", "key")
        wanted = self._arguments.heeded(arguments, "generate", known)
        options = self._defaults.for_call(wanted)
        inputs = named(input, wanted.get("key"), wanted.get("fs", SAMPLE_RATE), in_parts="cache" in wanted)

        def answer(key: str, source: Readable) -> dict[str, Any]:
            return {"key": key, "value": [list(span) for span in self._spans(source, options, wanted)]}

        return answers(inputs, answer, progress)

    def _spans(self, source: Readable, options: VadOptions, wanted: Mapping[str, Any]) -> Spans:
        short = options.chunk_size < _STREAMS_BELOW_MS
        events = isinstance(source, Audio) and wanted.get("is_streaming_input", short)
        final = not isinstance(source, Audio) or wanted.get("is_final", not events)
        cache = wanted.get("cache")
        cache = {} if cache is None else cache
        if not isinstance(source, Audio) or (final and not events and STATE_KEY not in cache):
            return self._of_file(source, options)
        session = cached_stream(cache, _VadSession) or self._stream(options, events=bool(events))
        if session.options != options or session.events != events:
            raise UsageError("options of a stream stay as they are until is_final=True; begin another with cache={}.")
        spans = session.push(samples_at_16k(source))
        if final:
            cache.pop(STATE_KEY, None)
            return spans + session.finish()
        cache[STATE_KEY] = session
        return spans

    def _of_file(self, source: Readable, options: VadOptions) -> Spans:
        stream, detector = self._vad.stream(self._run), EndpointDetector(options)
        spans: Spans = []
        with Decoder(source, pool=self._pool) as decoder:
            for block in decoder.blocks():
                scores = stream.push(block)
                spans += detector.push(scores.silence, scores.decibels)
        scores = stream.finish()
        return spans + detector.finish(scores.silence, scores.decibels, stream.samples)

    def _stream(self, options: VadOptions, *, events: bool) -> _VadSession:
        return _VadSession(_ChunkStream(self._vad, self._run), options, events=events)


def cached_stream(cache: Mapping[str, Any], kind: type[_Stream]) -> _Stream | None:
    """The stream that an earlier call left in a caller's `cache`; None if there is none.

    UsageError where it is of a model of another kind.
    """
    found = cache.get(STATE_KEY)
    if found is not None and not isinstance(found, kind):
        raise UsageError("this cache is of a stream of another model; begin another with cache={}.")
    return found


class _VadSession:
    """A stream, chunk by chunk."""

    def __init__(self, scores: _ChunkStream, options: VadOptions, *, events: bool) -> None:
        self.options, self.events = options, events
        self._scores, self._detector = scores, _ChunkDetector(options, events=events)
        self._chunk = options.chunk_size * SAMPLE_RATE // 1000
        self._rest = np.zeros(0, np.float32)

    def push(self, samples: Samples) -> Spans:
        """Add samples, float32 (samples,). Returns the events of the chunks that are now complete."""
        samples = np.concatenate([self._rest, samples])
        whole = len(samples) // self._chunk * self._chunk
        spans: Spans = []
        for start in range(0, whole, self._chunk):
            spans += self._detector.chunk(self._scores.chunk(samples[start : start + self._chunk]))
        self._rest = samples[whole:]
        return spans

    def finish(self) -> Spans:
        """End the stream. Returns the events of the rest."""
        before, after = self._scores.chunk(self._rest), self._scores.finish()
        silence = np.concatenate([before.silence, after.silence])
        decibels = np.concatenate([before.decibels, after.decibels])
        return self._detector.finish(silence, decibels, self._scores.samples)


class _ChunkStream(FsmnStream):
    """Scores that come with the chunk they belong to, and not when a block is full."""

    def chunk(self, samples: Samples) -> Scores:
        """Scores of all frames that these samples complete, but for the two that the network looks ahead."""
        before, after = (max(frames_of(count) - LOOKAHEAD, 0) for count in (self.samples, self.samples + len(samples)))
        self._block = max(after - before, 1)
        return self.push(samples)


class _ChunkDetector(EndpointDetector):
    """A detector that knows where a chunk ends, and so gives its events at once, and not with the frame after it."""

    def chunk(self, scores: Scores) -> Spans:
        """Events of a whole chunk, with all of its frames."""
        return self.push(scores.silence, scores.decibels) + self._next_chunk()


def samples_at_16k(audio: Audio) -> Samples:
    """Samples of a part of a stream, float32 (samples,). UsageError for another rate, and for several channels."""
    if audio.rate != SAMPLE_RATE:
        raise UsageError(f"fs={audio.rate}: parts of a stream are taken at {SAMPLE_RATE} Hz; resample it before.")
    samples = sample_array(audio.samples, audio.name)
    if samples.ndim == 2 and len(samples) == 1:
        samples = samples[0]
    if samples.ndim != 1:
        raise UsageError(f"a part of a stream has the shape (samples,), not {samples.shape}.")
    return pcm_float32(samples)
