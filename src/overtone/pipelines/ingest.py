"""The way in: sources are decoded, cut, and submitted, a bounded number at a time."""

from __future__ import annotations

import threading
from concurrent.futures import CancelledError
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt

from overtone.audio import Decoder, DecoderPool, Readable, name_of
from overtone.batching.cost_model import Shape
from overtone.batching.memory_plan import segmenter_bytes, suggest_budget
from overtone.engine.runtime import Runtime
from overtone.errors import BudgetError, OvertoneError, with_source
from overtone.pipelines.channel import ChannelStream
from overtone.pipelines.request import CallOptions, RequestContext
from overtone.pipelines.way import Way
from overtone.system.memory import format_size
from overtone.system.semaphore import ByteSemaphore
from overtone.types import SAMPLE_RATE

_Pooled = TypeVar("_Pooled")


@dataclass(frozen=True, slots=True, eq=False)
class SubmittedSource(Generic[_Pooled]):
    """A source that has been decoded and cut; its tracks, one for each channel asked for, still wait for answers."""

    call: CallOptions
    tracks: list[ChannelStream[_Pooled]]
    duration: float
    decode_s: float
    began: float
    warnings: tuple[str, ...]


class Ingestor(Generic[_Pooled]):
    """Sends sources through one engine. Any number of threads may call; no more tracks are cut at once than planned,
    and those of background work have places of their own."""

    def __init__(self, runtime: Runtime, way: Way[_Pooled]) -> None:
        self._runtime, self._way = runtime, way
        self._stages = runtime.engine.stages
        self._cutting = ByteSemaphore(runtime.decoders)
        self._behind = ByteSemaphore(runtime.reserve.background or runtime.decoders)
        processes = runtime.options.decode_processes
        self._pool = DecoderPool(processes) if processes else None
        self._lock = threading.Lock()
        self._decoded_s = 0.0

    @property
    def decoded_s(self) -> float:
        """Seconds of audio decoded so far, of all sources, each counted once however many channels it has."""
        return self._decoded_s

    def submit_source(
        self, source: Readable, name: str | None, call: CallOptions, ctx: RequestContext
    ) -> SubmittedSource[_Pooled]:
        """Decode, cut and submit a whole source; waits for its turn, and while audio in flight is at its bound.

        Raises InputError, BudgetError, ModelError, what the caller raises, and CancelledError once it has stopped.
        """
        try:
            with self._stages.source(name_of(source, name)):
                return self._send(source, name, call, ctx)
        except OvertoneError as error:
            # The traceback holds the samples that were cut so far, and an error is kept as long as its result is.
            known = with_source(error, name_of(source, name))
            known.__context__ = None
            raise known.with_traceback(None) from None

    def _send(
        self, source: Readable, name: str | None, call: CallOptions, ctx: RequestContext
    ) -> SubmittedSource[_Pooled]:
        began, decode_s = self._stages.begin(), 0.0
        at = began  # opening a source is part of decoding it
        tracks: list[ChannelStream[_Pooled]] = []
        try:
            with Decoder(source, name, self._pool) as decoder:
                blocks = decoder.channel_blocks() if call.split else (block[None] for block in decoder.blocks())
                while True:
                    block = next(blocks, None)
                    decode_s += self._stages.end("decode", at)
                    if ctx.cancelled:
                        raise CancelledError
                    if block is None:
                        break
                    # Counted in what was decoded: the header may say otherwise.
                    tracks = tracks or self._tracks(len(block), decoder.name, call, ctx)
                    _push(tracks, block)
                    self._count(block.shape[1])
                    ctx.on_progress(decoder.decoded_s)
                    at = self._stages.begin()
                for track in tracks:
                    track.finish(decoder.name)
                if ctx.cancelled:
                    raise CancelledError
                return SubmittedSource(call, tracks, decoder.decoded_s, decode_s, began, decoder.warnings)
        except BaseException:
            for track in tracks:
                track.cancel()
            raise
        finally:
            if tracks:
                self._places(ctx).release(len(tracks))

    def _count(self, samples: int) -> None:
        with self._lock:
            self._decoded_s += samples / SAMPLE_RATE

    def _places(self, ctx: RequestContext) -> ByteSemaphore:
        return self._behind if ctx.background else self._cutting

    def _tracks(self, count: int, name: str, call: CallOptions, ctx: RequestContext) -> list[ChannelStream[_Pooled]]:
        """A track for each channel, once there is a place for all of them."""
        if not call.options.whole:
            self._check_channels(count, name)
        began = self._stages.begin()
        self._places(ctx).acquire(count)
        self._stages.end("wait", began)
        try:
            return [self.track(call, ctx, count) for _ in range(count)]
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

    def track(self, call: CallOptions, ctx: RequestContext, channels: int = 1) -> ChannelStream[_Pooled]:
        """One channel's way through; `channels`: of the same source, under way at once."""
        track = ChannelStream(
            self._way.make_segmenter(call.options, channels),
            partial(self._way.submit_segment, call, ctx),
            self._way.make_aggregator(call.options),
            shortest=self._way.shortest,
            envelope=call.envelope,
            stages=self._stages,
        )
        ctx.on_cancel(track.cancel)
        return track

    def close(self) -> None:
        """Let nobody wait for a place any more."""
        self._cutting.close()
        self._behind.close()
        if self._pool is not None:
            self._pool.close()


def _push(tracks: list[ChannelStream[Any]], block: npt.NDArray[np.float32]) -> None:
    for track, samples in zip(tracks, block, strict=True):
        track.push(samples)
        if track.error is not None and all(t.error is not None for t in tracks):
            raise track.error
