"""Results of many sources in order, while the sources after the one that is waited for are decoded and submitted."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from overtone.audio import as_readable
from overtone.audio.inputs import FailedInput, Input
from overtone.audio.open import is_array
from overtone.batching.flow import Flow
from overtone.errors import Code, InputError, OvertoneError, UsageError, with_source
from overtone.pipelines.ingest import PooledT, Source, SubmittedSource, named_source
from overtone.pipelines.request import CallOptions, OptionsT, RequestContext
from overtone.results import Result
from overtone.system.memory import memory_error
from overtone.types import BYTES_PER_SAMPLE, SAMPLE_RATE, Audio

if TYPE_CHECKING:
    from overtone.pipelines.base import Pipeline

ResultT = TypeVar("ResultT", bound=Result)

_AHEAD = 64
"""Sources that may be under way in `stream`. Enough short clips to fill batches; what one holds once it is decoded
is its share of the audio in flight, and then only its results."""

_FAR_AHEAD = 1024
"""Files that may be under way where batches are so large that it takes more of them."""

_SHORT_S = 2.0
"""Seconds of the clips that are to fill such batches."""


@dataclass(frozen=True, slots=True, eq=False)
class _InFlight(Generic[OptionsT, PooledT]):
    """A source under way; submitted: None for an input that failed before."""

    source: Source
    ctx: RequestContext
    submitted: Future[SubmittedSource[OptionsT, PooledT]] | None


class ResultStream(Generic[OptionsT, PooledT, ResultT]):
    """The results of one `Pipeline.stream`, in the order of its sources. Used by one thread."""

    def __init__(self, pipeline: Pipeline[OptionsT, PooledT, ResultT], call: CallOptions[OptionsT]) -> None:
        self._pipeline, self._call = pipeline, call
        self._flow = Flow()  # all sources are one request: oldest first
        self._in_flight: deque[_InFlight[OptionsT, PooledT]] = deque()

    def results(self, sources: Iterable[Source]) -> Iterator[ResultT]:
        """Results as they are ready; a source that cannot be used gives one with an error."""
        pool = ThreadPoolExecutor(self._pipeline.runtime.decoders, thread_name_prefix="overtone-decode")
        try:
            for source in sources:
                ctx, submitted = RequestContext(), None
                ctx.flow = self._flow
                if not isinstance(source, FailedInput):
                    submitted = pool.submit(self._pipeline.submit_source, source, self._call, ctx)
                self._in_flight.append(_InFlight(source, ctx, submitted))
                while len(self._in_flight) >= self._prefetch_depth(source):
                    yield from self._pop_oldest()
            while self._in_flight:
                yield from self._pop_oldest()
        finally:
            self._abandon(pool)

    def _abandon(self, pool: ThreadPoolExecutor) -> None:
        """Cancel the sources under way; in a fork they are those of the first process, which goes on with them."""
        if not self._pipeline.runtime.guard.forked:
            # Not waited for: one may be in the middle of a read that nobody ends.
            pool.shutdown(wait=False, cancel_futures=True)
            for one in self._in_flight:
                one.ctx.cancel()

    def _prefetch_depth(self, source: Source) -> int:
        """Sources that may be under way: with large batches, as many short clips as there may be audio in flight."""
        # Audio in memory is held from when it is handed over, and a spool of frames may be an open file.
        by_name = isinstance(source, Input | FailedInput | str | os.PathLike)
        if self._call.frames or self._pipeline.keeps_files or not by_name:
            return _AHEAD
        plan = self._pipeline.runtime.engine.plan
        in_flight_s = (plan.audio_bytes - plan.segmenter_bytes) / (SAMPLE_RATE * BYTES_PER_SAMPLE)
        return max(_AHEAD, min(_FAR_AHEAD, round(in_flight_s / _SHORT_S)))

    def _pop_oldest(self) -> Iterator[ResultT]:
        # Taken off when it is answered: a source that is left while it is waited for is dropped with the rest.
        self._pipeline.runtime.guard.check()
        yield from self._results_of(self._in_flight[0])
        self._in_flight.popleft()

    def _results_of(self, one: _InFlight[OptionsT, PooledT]) -> Iterator[ResultT]:
        if isinstance(one.source, FailedInput):
            yield self._pipeline.error_result(one.source.source, one.source.error, one.source.id)
            return
        assert one.submitted is not None
        named = named_source(one.source)
        try:
            sent = one.submitted.result()
        except OvertoneError as error:
            yield self._pipeline.error_result(named.name, error, named.id)
            return
        except Exception as error:  # noqa: BLE001 - our fault, and still no reason to lose the other sources
            yield self._pipeline.error_result(named.name, _internal_error(named.name, error), named.id)
            return
        for channel in range(len(sent.channels)):
            try:
                yield self._pipeline.channel_result(sent, channel)
            except OvertoneError as error:
                yield self._pipeline.channel_error(sent, channel, error)
            except Exception as error:  # noqa: BLE001 - as above
                yield self._pipeline.channel_error(sent, channel, _internal_error(named.name, error))


def check_sources(sources: object) -> None:
    """UsageError for a single source, or for none at all, where several are to be iterated."""
    single = (str, bytes, bytearray, memoryview, os.PathLike, Mapping, Audio, Input, FailedInput)
    known = sources if isinstance(sources, single) or not isinstance(sources, tuple) else as_readable(sources)
    if isinstance(known, single) or is_array(known) or callable(getattr(known, "read", None)):
        kind = type(sources).__name__
        raise UsageError(f"stream() takes several sources, and this {kind} is one: call with it, or stream([source]).")
    if not isinstance(sources, Iterable):
        raise UsageError(f"stream() takes several sources, such as a list of paths, not {type(sources).__name__}.")


def _internal_error(name: str, error: Exception) -> OvertoneError:
    if (refused := memory_error(error)) is not None:
        return with_source(refused, name)
    return InputError(f"{name}: it met a fault of Overtone's own ({error!r}); please report it", code=Code.FAULT)
