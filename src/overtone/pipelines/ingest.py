"""Decodes, segments and submits sources, a bounded number at a time."""

from __future__ import annotations

import os
import threading
from concurrent.futures import CancelledError
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt

from overtone.audio import Decoder, Probe, Readable, name_of, probe
from overtone.audio.inputs import FailedInput, Input
from overtone.batching.cost_model import Shape
from overtone.batching.memory_plan import segmenter_bytes, suggest_budget
from overtone.engine.runtime import Runtime
from overtone.errors import BudgetError, InputError, OvertoneError, with_source
from overtone.pipelines.channel import ChannelStream
from overtone.pipelines.request import CallOptions, OptionsT, RequestContext
from overtone.system.machine import standard_input
from overtone.system.memory import format_size
from overtone.system.semaphore import FifoSemaphore
from overtone.types import SAMPLE_RATE

if TYPE_CHECKING:
    from overtone.pipelines.base import Pipeline

PooledT = TypeVar("PooledT")


Source = Readable | Input | FailedInput


@dataclass(frozen=True, slots=True, eq=False)
class NamedSource:
    """A source as the decoder reads it, with the name and the id of its results."""

    readable: Readable
    name: str
    id: str | None = None


def named_source(source: Readable | Input) -> NamedSource:
    """A source of whatever kind, as the decoder reads it."""
    if isinstance(source, Input):
        readable = source.path if source.path is not None else standard_input()
        return NamedSource(readable, source.source, source.id)
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

    No more channels are cut at once than planned, and those of background work have their own places.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._profiler = runtime.engine.profiler
        self._segmenting = FifoSemaphore(runtime.decoders)
        self._background = FifoSemaphore(runtime.reserve.background or runtime.decoders)
        self._decoding = FifoSemaphore(runtime.decoders)
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
        is cancelled.
        """
        name = name_of(source.readable, source.name)
        try:
            # Of the processes that decode, one is left for reading headers.
            with self._profiler.source(name), nullcontext() if ctx.background else self._decoding.hold(1):
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
        try:
            pool = self._runtime.decoder_pool(background=ctx.background)
            with Decoder(source.readable, source.name, pool, ctx.on_cancel) as decoder:
                blocks = decoder.channel_blocks() if call.split else (block[None] for block in decoder.blocks())
                while True:
                    block = next(blocks, None)
                    decode_s += self._profiler.end("decode", at)
                    if ctx.cancelled:
                        raise CancelledError
                    if block is None:
                        break
                    # Counted in what was decoded: the header may say otherwise.
                    channels = channels or self._open(pipeline, len(block), decoder.name, call, ctx)
                    _push(channels, block)
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
            if channels:
                self._places(ctx).release(len(channels))

    def probe(self, source: Readable, name: str | None = None) -> Probe:
        """Metadata in a source's header. InputError where it is no audio."""
        return probe(source, name, self._runtime.decoder_pool())

    def _count(self, samples: int) -> None:
        with self._lock:
            self._decoded_s += samples / SAMPLE_RATE

    def _places(self, ctx: RequestContext) -> FifoSemaphore:
        return self._background if ctx.background else self._segmenting

    def _open(
        self,
        pipeline: Pipeline[OptionsT, PooledT, Any],
        count: int,
        name: str,
        call: CallOptions[OptionsT],
        ctx: RequestContext,
    ) -> list[ChannelStream[PooledT]]:
        """A stream for each channel, once there is a place for all of them."""
        if not call.options.whole:
            self._check_channels(count, name)
        began = self._profiler.begin()
        self._places(ctx).acquire(count)
        self._profiler.end("wait", began)
        try:
            return [self.open_channel(pipeline, call, ctx, count) for _ in range(count)]
        except BaseException:
            self._places(ctx).release(count)
            raise

    def _check_channels(self, count: int, name: str) -> None:
        """BudgetError where a source has more channels than were planned for, and they cannot be held either."""
        plan = self._runtime.engine.plan
        more = segmenter_bytes(plan.longest_s, max(0, count - self._runtime.decoders))
        short = plan.cost.predict(Shape(1, plan.longest_s)) + more - plan.batch_bytes
        if more and short > 0:
            raise BudgetError(
                f"{name}: its {count} channels at once need {format_size(more)} beyond what was planned for; give "
                f"{suggest_budget(plan.budget_bytes, short)}, cut shorter with "
                "--max-segment (or --window), or mix them (--channels mix)."
            )

    def open_channel(
        self,
        pipeline: Pipeline[OptionsT, PooledT, Any],
        call: CallOptions[OptionsT],
        ctx: RequestContext,
        channels: int = 1,
    ) -> ChannelStream[PooledT]:
        """A stream for one channel of a source. channels: of the same source, in flight at once."""
        channel = ChannelStream(
            pipeline.make_segmenter(call, channels),
            partial(pipeline.submit_segment, call, ctx),
            pipeline.make_aggregator(call),
            min_samples=pipeline.min_samples,
            envelope=call.envelope,
            profiler=self._profiler,
        )
        ctx.on_cancel(channel.cancel)
        return channel

    def close(self) -> None:
        """Wake every thread that waits for a place."""
        for semaphore in (self._decoding, self._segmenting, self._background):
            semaphore.close()


def _push(channels: list[ChannelStream[Any]], block: npt.NDArray[np.float32]) -> None:
    for channel, samples in zip(channels, block, strict=True):
        channel.push(samples)
        if channel.error is not None and all(one.error is not None for one in channels):
            raise channel.error
