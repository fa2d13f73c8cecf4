"""What every pipeline is: sources in, a result for each, any number of them at once, in bounded memory."""

from __future__ import annotations

import os
import time
import weakref
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Generic, TypeVar

from overtone.audio import Readable, name_of
from overtone.audio.sources import FailedInput, Input
from overtone.engine.runtime import Runtime
from overtone.errors import InputError, OvertoneError, UsageError
from overtone.options.emotion import Options
from overtone.pipelines.ingest import Ingestor, SubmittedSource
from overtone.pipelines.request import CallOptions, RequestContext
from overtone.pipelines.way import Way
from overtone.system.machine import standard_input
from overtone.types import BYTES_PER_SAMPLE, SAMPLE_RATE, Result, Timings

Source = Readable | Input | FailedInput

_Result = TypeVar("_Result", bound=Result)
_Pooled = TypeVar("_Pooled")
_Self = TypeVar("_Self")  # typing.Self needs Python 3.11

_AHEAD = 64
"""Sources that may be under way in `stream`. Enough short clips to fill batches; what one holds once it is decoded
is its share of the audio in flight, and then only its results."""

_FAR_AHEAD = 1024
"""Files that may be under way where batches are so large that it takes more of them."""

_SHORT_S = 2.0
"""Seconds of the clips that are to fill such batches."""


class Pipeline(ABC, Generic[_Result, _Pooled]):
    """One set of models, loaded once; called from any number of threads."""

    options: Options

    def _begin(self, started: Runtime, way: Way[_Pooled], *, owned: bool = True) -> None:
        self.options = started.options
        self._owned, self._keeps_files = owned, way.keeps_files
        self._runtime = started
        self._intake = Ingestor(started, way)
        # A pipeline that is forgotten, and not closed, takes its engines along.
        if owned:
            weakref.finalize(self, started.close, drain=False)

    @property
    def decoded_s(self) -> float:
        """Seconds of audio decoded since the start."""
        return self._intake.decoded_s

    @property
    def runtime(self) -> Runtime:
        """The engine, the network and where they run."""
        return self._runtime

    @abstractmethod
    def _result(self, sent: SubmittedSource[_Pooled], channel: int, name: str, key: str | None) -> _Result:
        """The result of one channel of a source that has been sent; waits for its answers."""

    @abstractmethod
    def _empty_result(
        self,
        name: str,
        key: str | None,
        sent: SubmittedSource[_Pooled] | None = None,
        channel: int = 0,
        error: OvertoneError | None = None,
    ) -> _Result:
        """A result that says what is known before, or without, an answer. `sent` None: it was never decoded."""

    def _common_fields(
        self,
        name: str,
        key: str | None,
        sent: SubmittedSource[_Pooled] | None,
        channel: int,
        error: OvertoneError | None,
    ) -> dict[str, Any]:
        """What is known of any result, whatever was asked: the fields of `Result`."""
        about = {
            "source": name,
            "id": key,
            "duration": 0.0,
            "model": self._runtime.network.name,
            "precision": self._runtime.precision,
            "device": self._runtime.device,
            "backend": self._runtime.backend,
            "timings": Timings(),
            "error": error,
        }
        if sent is None:
            return about
        track, split = sent.tracks[channel], sent.call.split
        return about | {
            "channel": channel if split else None,
            "channels": len(sent.tracks) if split else None,
            "duration": sent.duration,
            "device": track.device or self._runtime.device,
            "timings": track.timings(sent.decode_s, time.perf_counter() - sent.began),
        }

    def _wishes(self, options: Mapping[str, Any], envelope: bool) -> CallOptions:
        return CallOptions(self.options.for_call(**options), envelope)

    def __call__(self, source: Readable, *, envelope: bool = False, **options: Any) -> _Result:
        """The result of one source: a path, bytes, a binary file object, or `Audio(samples, rate)`.

        envelope: keep the waveform's outline, for plots. options: those that a call may have of its own, such as
        `granularity`. Raises InputError if it cannot be used, BudgetError if it cannot be held, UsageError for
        an option, and with `channels="split"` (use `each`).
        """
        if options.get("channels", self.options.channels) == "split":
            raise UsageError("channels='split' gives several results for a source; take them from each(source).")
        return self.results_for(source, envelope=envelope, **options)[0]

    def results_for(
        self, source: Source, ctx: RequestContext | None = None, *, envelope: bool = False, **options: Any
    ) -> list[_Result]:
        """The result of each channel that was asked for of one source: one, but with `channels="split"`.

        caller: who waits, and may stop waiting. envelope, options, errors: as for a call; CancelledError where the
        caller stopped before all was decoded, and ModelError (cancelled) after.
        """
        if isinstance(source, FailedInput):
            raise source.error
        ctx = RequestContext() if ctx is None else ctx
        name, key = _name(source), source.id if isinstance(source, Input) else None
        try:
            sent = self._intake.submit_source(*_readable_of(source), self._wishes(options, envelope), ctx)
            return [self._result(sent, channel, name, key) for channel in range(len(sent.tracks))]
        except BaseException:
            ctx.cancel()
            raise

    def error_result(self, name: str, error: OvertoneError) -> _Result:
        """The result of a source called `name` that cannot be used."""
        return self._empty_result(name, None, error=error)

    def stream(self, sources: Iterable[Source], *, envelope: bool = False, **options: Any) -> Iterator[_Result]:
        """The results of any number of sources, in order, in bounded memory.

        A source that cannot be used gives a result with `error` set and stops nothing. With `channels="split"` each
        channel gives a result. To list folders and lists, see `overtone.expand`. envelope, options: as for a call.
        """
        call = self._wishes(options, envelope)
        pool = ThreadPoolExecutor(self._runtime.decoders, thread_name_prefix="overtone-decode")
        in_flight: deque[tuple[Source, RequestContext, Future[SubmittedSource[_Pooled]] | None]] = deque()
        try:
            for source in sources:
                failed, ctx = isinstance(source, FailedInput), RequestContext()
                sent = None if failed else pool.submit(self._intake.submit_source, *_readable_of(source), call, ctx)
                in_flight.append((source, ctx, sent))
                while len(in_flight) >= self._prefetch_depth(source, call):
                    yield from self._pop_oldest(in_flight)
            while in_flight:
                yield from self._pop_oldest(in_flight)
        finally:
            # Not waited for: one may be in the middle of a read that nobody ends.
            pool.shutdown(wait=False, cancel_futures=True)
            for _, ctx, _ in in_flight:
                ctx.cancel()

    def _prefetch_depth(self, source: Source, call: CallOptions) -> int:
        """Sources that may be under way: with large batches, as many short clips as there may be audio in flight."""
        # Audio in memory is held from when it is handed over, and a spool of frames may be an open file.
        if call.frames or self._keeps_files or not isinstance(source, Input | FailedInput | str | os.PathLike):
            return _AHEAD
        plan = self._runtime.engine.plan
        in_flight_s = (plan.audio_bytes - plan.segmenter_bytes) / (SAMPLE_RATE * BYTES_PER_SAMPLE)
        return max(_AHEAD, min(_FAR_AHEAD, round(in_flight_s / _SHORT_S)))

    def _pop_oldest(
        self, in_flight: deque[tuple[Source, RequestContext, Future[SubmittedSource[_Pooled]] | None]]
    ) -> Iterator[_Result]:
        # Taken off when it is answered: a source that is left while it is waited for is dropped with the rest.
        source, _, sending = in_flight[0]
        yield from self._results_of(source, sending)
        in_flight.popleft()

    def _results_of(self, source: Source, sending: Future[SubmittedSource[_Pooled]] | None) -> Iterator[_Result]:
        name, key = _name(source), source.id if isinstance(source, Input | FailedInput) else None
        if isinstance(source, FailedInput):
            yield self._empty_result(name, key, error=source.error)
            return
        assert sending is not None
        try:
            sent = sending.result()
        except OvertoneError as error:
            yield self._empty_result(name, key, error=error)
            return
        except Exception as error:  # noqa: BLE001 - our fault, and still no reason to lose the other sources
            yield self._empty_result(name, key, error=_internal_error(name, error))
            return
        for channel in range(len(sent.tracks)):
            try:
                yield self._result(sent, channel, name, key)
            except OvertoneError as error:
                yield self._empty_result(name, key, sent, channel, error)
            except Exception as error:  # noqa: BLE001 - as above
                yield self._empty_result(name, key, sent, channel, _internal_error(name, error))

    def close(self, *, drain: bool = True) -> None:
        """Finish what is queued (without `drain`: drop it) and free the models."""
        self._intake.close()
        if self._owned:
            self._runtime.close(drain=drain)

    def __enter__(self: _Self) -> _Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.close(drain=kind is None)


def _internal_error(name: str, error: Exception) -> InputError:
    return InputError(f"{name}: it met a fault of Overtone's own ({error!r}); please report it", code="fault")


def _readable_of(source: Source) -> tuple[Readable, str | None]:
    """What the decoder is to read, and under what name."""
    assert not isinstance(source, FailedInput)
    if isinstance(source, Input):
        return (source.path if source.path is not None else standard_input()), source.source
    return source, None


def _name(source: Source) -> str:
    if isinstance(source, Input | FailedInput):
        return source.source
    if isinstance(source, str | os.PathLike):
        return os.fsdecode(source)
    return name_of(source)
