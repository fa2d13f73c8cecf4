"""Decodes, segments and submits sources, a bounded number at a time."""

from __future__ import annotations

import os
import threading
from concurrent.futures import CancelledError
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt

from overtone.audio import AudioLike, Decoder, Probe, Readable, as_readable, name_of, probe
from overtone.audio.inputs import FailedInput, Input
from overtone.batching.fair_semaphore import FairSemaphore
from overtone.batching.memory_plan import channel_bytes, whole_file_bytes
from overtone.engine.runtime import Runtime
from overtone.errors import BudgetError, InputError, OvertoneError, with_source
from overtone.pipelines.channel import ChannelStream
from overtone.pipelines.request import CallOptions, OptionsT, RequestContext
from overtone.system.machine import standard_input
from overtone.types import SAMPLE_RATE

if TYPE_CHECKING:
    from overtone.pipelines.base import Pipeline

PooledT = TypeVar("PooledT")


Source = AudioLike | Input | FailedInput

SHORT_S = 30.0
"""Seconds. A source that is said to have no more than this is short: it waits behind no long one for its place."""


@dataclass(frozen=True, slots=True, eq=False)
class NamedSource:
    """A source as the decoder reads it, with the name and the id of its results."""

    readable: Readable
    name: str
    id: str | None = None


def named_source(source: AudioLike | Input) -> NamedSource:
    """A source of whatever kind, as the decoder reads it."""
    if isinstance(source, Input):
        readable = source.path if source.path is not None else standard_input()
        return NamedSource(readable, source.source, source.id)
    source = as_readable(source)
    return NamedSource(source, os.fsdecode(source) if isinstance(source, str | os.PathLike) else name_of(source))


@dataclass(frozen=True, slots=True, eq=False)
class SubmittedSource(Generic[OptionsT, PooledT]):
    """A fully decoded source whose segments are submitted: a stream for each channel asked for, its answers pending.

    name, id: those of its results. duration, decode_s: seconds of audio, and of decoding it. began: when decoding
    began, by `time.perf_counter`.
    """

    name: str
    id: str | None
    call: CallOptions[OptionsT]
    channels: list[ChannelStream[PooledT]]
    duration: float
    decode_s: float
    began: float
    warnings: tuple[str, ...]


class Ingestor:
    """Decodes sources and submits their segments. Any number of threads may call.

    No more channels are cut at once than planned, and those of background work have their own places. So may short
    sources have (`ReservedCapacity.short`), because a long one keeps its place for as long as the model takes for it.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._profiler = runtime.engine.profiler
        self._segmenting = FairSemaphore(runtime.decoders, runtime.reserve.short)
        self._background = FairSemaphore(runtime.reserve.background or runtime.decoders)
        self._decoding = FairSemaphore(runtime.decoders, runtime.reserve.short)
        self._lock = threading.Lock()
        self._decoded_s = 0.0

    @property
    def decoded_s(self) -> float:
        """Seconds of audio decoded so far, of all sources, each counted once however many channels it has."""
        return self._decoded_s

    def submit_source(
        self,
        pipeline: Pipeline[OptionsT, PooledT, Any],
        source: NamedSource,
        call: CallOptions[OptionsT],
        ctx: RequestContext,
    ) -> SubmittedSource[OptionsT, PooledT]:
        """Decode, segment and submit a whole source for a pipeline.

        Waits for a place, and while audio in flight is at its bound.

        Raises InputError, BudgetError, ModelError, what `ctx.on_progress` raises, and CancelledError once the request
        is cancelled; UsageError in a fork of this process.
        """
        self._runtime.guard.check()
        name = name_of(source.readable, source.name)
        try:
            # Of the processes that decode, one is left for reading headers.
            decoding = nullcontext() if ctx.background else _held(self._decoding, 1, ctx)
            with self._profiler.source(name), decoding:
                return self._submit(pipeline, source, call, ctx)
        except OvertoneError as error:
            # The traceback holds the samples that were cut so far, and an error is kept as long as its result is.
            known = with_source(error, name)
            known.__context__ = None
            raise known.with_traceback(None) from None

    def _submit(
        self,
        pipeline: Pipeline[OptionsT, PooledT, Any],
        source: NamedSource,
        call: CallOptions[OptionsT],
        ctx: RequestContext,
    ) -> SubmittedSource[OptionsT, PooledT]:
        began, decode_s = self._profiler.begin(), 0.0
        at = began  # opening a source is part of decoding it
        channels: list[ChannelStream[PooledT]] = []
        places = ExitStack()
        try:
            pool = self._runtime.decoder_pool(background=ctx.background)
            track = call.options.audio_track
            with Decoder(source.readable, source.name, pool, ctx.on_cancel, audio_track=track) as decoder:
                blocks = decoder.channel_blocks() if call.split else (block[None] for block in decoder.blocks())
                while True:
                    block = next(blocks, None)
                    decode_s += self._profiler.end("decode", at)
                    if ctx.cancelled:
                        raise CancelledError
                    if block is None:
                        break
                    # Counted in what was decoded: the header may say otherwise.
                    channels = channels or self._open(pipeline, len(block), call, ctx, places)
                    try:
                        _push(channels, block)
                    except BudgetError:
                        self._check_claim(decoder.claimed_s, len(block), call)
                        raise
                    self._count(block.shape[1])
                    ctx.on_progress(decoder.decoded_s)
                    at = self._profiler.begin()
                for channel in channels:
                    channel.finish(decoder.name)
                if ctx.cancelled:
                    raise CancelledError
                name, seconds = source.name, decoder.decoded_s
                return SubmittedSource(name, source.id, call, channels, seconds, decode_s, began, decoder.warnings)
        except BaseException as error:
            for channel in channels:
                channel.cancel()
            if ctx.cancelled and isinstance(error, InputError):
                raise CancelledError from None  # what decoded it was ended with its request
            raise
        finally:
            places.close()

    def _check_claim(self, claimed_s: float | None, channels: int, call: CallOptions[OptionsT]) -> None:
        """BudgetError with what all of a file that runs whole needs, by its header: what was read needs less."""
        if call.options.whole and claimed_s is not None:
            for model in self._runtime.models.values():
                whole_file_bytes(model.engine.plan, round(claimed_s * SAMPLE_RATE), channels, of_all=True)

    def probe(self, source: AudioLike, name: str | None = None, audio_track: int | None = None) -> Probe:
        """Metadata in a source's header. InputError where it is no audio."""
        self._runtime.guard.check()
        return probe(as_readable(source), name, self._runtime.decoder_pool(), audio_track=audio_track)

    def _count(self, samples: int) -> None:
        with self._lock:
            self._decoded_s += samples / SAMPLE_RATE

    def _places(self, ctx: RequestContext) -> FairSemaphore:
        return self._background if ctx.background else self._segmenting

    def _open(
        self,
        pipeline: Pipeline[OptionsT, PooledT, Any],
        count: int,
        call: CallOptions[OptionsT],
        ctx: RequestContext,
        places: ExitStack,
    ) -> list[ChannelStream[PooledT]]:
        """A stream for each channel, once there is a place for all of them. BudgetError if there never will be."""
        if not call.options.whole:
            reserve = self._runtime.reserve
            planned = self._runtime.decoders - reserve.short  # a short source may be cut beside it
            if ctx.background:
                planned = reserve.background or self._runtime.decoders
            for model in self._runtime.models.values():
                channel_bytes(model.engine.plan, count, planned)
        began = self._profiler.begin()
        places.enter_context(_held(self._places(ctx), count, ctx))
        self._profiler.end("wait", began)
        return [self.open_channel(pipeline, call, ctx, count) for _ in range(count)]

    def open_channel(
        self,
        pipeline: Pipeline[OptionsT, PooledT, Any],
        call: CallOptions[OptionsT],
        ctx: RequestContext,
        channels: int = 1,
    ) -> ChannelStream[PooledT]:
        """A stream for one channel of a source. channels: of the same source, in flight at once."""
        self._runtime.guard.check()
        channel = ChannelStream(
            pipeline.make_segmenter(call, channels),
            partial(pipeline.submit_segment, call, ctx),
            pipeline.make_aggregator(call),
            min_samples=pipeline.min_samples,
            envelope=call.envelope,
            profiler=self._profiler,
            on_output=ctx.on_output,
        )
        ctx.on_cancel(channel.cancel)
        return channel

    def close(self) -> None:
        """Wake every thread that waits for a place."""
        if self._runtime.guard.forked:
            return
        for semaphore in (self._decoding, self._segmenting, self._background):
            semaphore.close()


def is_short(ctx: RequestContext) -> bool:
    """True for a request whose source is said to be short."""
    return ctx.expected_s is not None and ctx.expected_s <= SHORT_S


def _held(places: FairSemaphore, count: int, ctx: RequestContext) -> AbstractContextManager[None]:
    """So many places, held while a block runs. CancelledError where the request is cancelled before it has them."""
    ctx.on_cancel(places.wake)
    return places.hold(count, ctx.flow, urgent=is_short(ctx), cancelled=lambda: ctx.cancelled)


def _push(channels: list[ChannelStream[Any]], block: npt.NDArray[np.float32]) -> None:
    for channel, samples in zip(channels, block, strict=True):
        channel.push(samples)
        if channel.error is not None and all(one.error is not None for one in channels):
            raise channel.error
