"""What every pipeline is: sources in, a result for each, any number of them at once, in bounded memory."""

from __future__ import annotations

import os
import time
import weakref
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Generic, TypeVar

from overtone.audio import Readable, name_of
from overtone.audio.sources import FailedInput, Input
from overtone.engine.runtime import Runtime
from overtone.errors import InputError, OvertoneError, UsageError
from overtone.options.emotion import Options
from overtone.pipelines.channel import Aggregator
from overtone.pipelines.ingest import Ingestor, NamedSource, SubmittedSource
from overtone.pipelines.request import CallOptions, RequestContext
from overtone.pipelines.segmenter_factory import SegmenterFactory
from overtone.segmentation.segmenters import Segmenter
from overtone.system.machine import standard_input
from overtone.types import BYTES_PER_SAMPLE, SAMPLE_RATE, Result, Samples, Timings

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
    """One set of models, loaded once; called from any number of threads.

    What a task defines: how a channel is segmented, which models are asked, how their outputs are aggregated, and the
    result that is built of that.
    """

    options: Options

    keeps_files = False
    """Whether a source in flight may hold open files, whatever its options."""

    def _begin(self, started: Runtime, *, owned: bool = True) -> None:
        self.options = started.options
        self._owned = owned
        self._runtime = started
        self._ingestor = Ingestor(started)
        self._segmenters = SegmenterFactory(started)
        # A pipeline that is forgotten, and not closed, takes its engines along.
        if owned:
            weakref.finalize(self, started.close, drain=False)

    @property
    def decoded_s(self) -> float:
        """Seconds of audio decoded since the start."""
        return self._ingestor.decoded_s

    @property
    def runtime(self) -> Runtime:
        """The engine, the network and where they run."""
        return self._runtime

    @property
    def min_samples(self) -> int:
        """Samples below which there is nothing to work on."""
        return self._runtime.model.task.min_samples

    @abstractmethod
    def make_segmenter(self, call: CallOptions, channels: int) -> Segmenter:
        """A segmenter for one of so many channels of a source."""

    @abstractmethod
    def submit_segment(self, call: CallOptions, ctx: RequestContext, samples: Samples) -> Sequence[Future[Any]]:
        """Submit a segment to every model that hears it, a future for each; may wait for room in the queue."""

    @abstractmethod
    def make_aggregator(self, call: CallOptions) -> Aggregator[_Pooled]:
        """An aggregator of one channel's outputs."""

    @abstractmethod
    def build_result(self, sent: SubmittedSource[_Pooled], channel: int) -> _Result:
        """The result of one channel of a submitted source; waits for its answers. Raises what a segment met."""

    @abstractmethod
    def _failed(self, error: OvertoneError, fields: Mapping[str, Any]) -> _Result:
        """A result that has an error, and no answer."""

    def _run_fields(self, name: str, id: str | None) -> dict[str, Any]:
        """The fields of `Result` that hold for whatever is run here."""
        return {
            "source": name,
            "id": id,
            "duration": 0.0,
            "model": self._runtime.model.name,
            "precision": self._runtime.engine.precision,
            "device": self._runtime.engine.device,
            "backend": self._runtime.engine.backend_name,
            "timings": Timings(),
        }

    def _channel_fields(self, sent: SubmittedSource[_Pooled], channel: int) -> dict[str, Any]:
        """The fields of `Result` for one channel of a submitted source."""
        stream, split = sent.channels[channel], sent.call.split
        return self._run_fields(sent.name, sent.id) | {
            "channel": channel if split else None,
            "channels": len(sent.channels) if split else None,
            "duration": sent.duration,
            "device": stream.device or self._runtime.engine.device,
            "timings": stream.timings(sent.decode_s, time.perf_counter() - sent.began),
        }

    def _call_options(self, options: Mapping[str, Any], envelope: bool) -> CallOptions:
        return CallOptions(self.options.for_call(**options), envelope)

    def __call__(self, source: Readable, *, envelope: bool = False, **options: Any) -> _Result:
        """The result of one source: a path, bytes, a binary file object, or `Audio(samples, rate)`.

        envelope: keep the waveform's outline, for plots. options: those that a call may have of its own, such as
        `granularity`. Raises InputError if it cannot be used, BudgetError if it cannot be held, UsageError for
        an option, and with `channels="split"` (use `results_for`).
        """
        if options.get("channels", self.options.channels) == "split":
            raise UsageError("channels='split' gives several results for a source; take them from results_for(source).")
        return self.results_for(source, envelope=envelope, **options)[0]

    def results_for(
        self, source: Source, ctx: RequestContext | None = None, *, envelope: bool = False, **options: Any
    ) -> list[_Result]:
        """The result of each channel that was asked for of one source: one, but with `channels="split"`.

        ctx: cancel it to abandon the request. envelope, options, errors: as for a call; CancelledError where it was
        cancelled before all was decoded, and ModelError (cancelled) after.
        """
        if isinstance(source, FailedInput):
            raise source.error
        ctx = RequestContext() if ctx is None else ctx
        try:
            call = self._call_options(options, envelope)
            sent = self._ingestor.submit_source(self, _named(source), call, ctx)
            return [self.build_result(sent, channel) for channel in range(len(sent.channels))]
        except BaseException:
            ctx.cancel()
            raise

    def error_result(self, name: str, error: OvertoneError, id: str | None = None) -> _Result:
        """The result of a source called `name` that cannot be used."""
        return self._failed(error, self._run_fields(name, id))

    def stream(self, sources: Iterable[Source], *, envelope: bool = False, **options: Any) -> Iterator[_Result]:
        """The results of any number of sources, in order, in bounded memory.

        A source that cannot be used gives a result with `error` set and stops nothing. With `channels="split"` each
        channel gives a result. To list folders and lists, see `overtone.expand`. envelope, options: as for a call.
        """
        call = self._call_options(options, envelope)
        pool = ThreadPoolExecutor(self._runtime.decoders, thread_name_prefix="overtone-decode")
        in_flight: deque[tuple[Source, RequestContext, Future[SubmittedSource[_Pooled]] | None]] = deque()
        try:
            for source in sources:
                ctx, sent = RequestContext(), None
                if not isinstance(source, FailedInput):
                    sent = pool.submit(self._ingestor.submit_source, self, _named(source), call, ctx)
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
        if call.frames or self.keeps_files or not isinstance(source, Input | FailedInput | str | os.PathLike):
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
        if isinstance(source, FailedInput):
            yield self.error_result(source.source, source.error, source.id)
            return
        assert sending is not None
        named = _named(source)
        try:
            sent = sending.result()
        except OvertoneError as error:
            yield self.error_result(named.name, error, named.id)
            return
        except Exception as error:  # noqa: BLE001 - our fault, and still no reason to lose the other sources
            yield self.error_result(named.name, _internal_error(named.name, error), named.id)
            return
        for channel in range(len(sent.channels)):
            try:
                yield self.build_result(sent, channel)
            except OvertoneError as error:
                yield self._failed(error, self._channel_fields(sent, channel))
            except Exception as error:  # noqa: BLE001 - as above
                yield self._failed(_internal_error(named.name, error), self._channel_fields(sent, channel))

    def close(self, *, drain: bool = True) -> None:
        """Finish what is queued (without `drain`: drop it) and free the models."""
        self._ingestor.close()
        if self._owned:
            self._runtime.close(drain=drain)

    def __enter__(self: _Self) -> _Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.close(drain=kind is None)


def _internal_error(name: str, error: Exception) -> InputError:
    return InputError(f"{name}: it met a fault of Overtone's own ({error!r}); please report it", code="fault")


def _named(source: Readable | Input) -> NamedSource:
    """What the decoder is to read, and under what name."""
    if isinstance(source, Input):
        readable = source.path if source.path is not None else standard_input()
        return NamedSource(readable, source.source, source.id)
    return NamedSource(source, os.fsdecode(source) if isinstance(source, str | os.PathLike) else name_of(source))
