"""The base of every pipeline: sources in, a result for each, any number of them at once, in bounded memory."""

from __future__ import annotations

import time
import weakref
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, Generic, NoReturn, TypeVar

from overtone.audio import AudioLike, Probe
from overtone.audio.inputs import FailedInput, Input
from overtone.engine.runtime import NO_RESERVE, ReservedCapacity, Runtime
from overtone.errors import OvertoneError, UsageError, with_source
from overtone.models.family import Role
from overtone.options.emotion import SILERO
from overtone.pipelines.channel import Aggregator
from overtone.pipelines.ingest import Ingestor, PooledT, Source, SubmittedSource, named_source
from overtone.pipelines.request import CallOptions, OptionsT, RequestContext
from overtone.pipelines.result_stream import ResultStream, ResultT, check_sources
from overtone.pipelines.segmenter_factory import SegmenterFactory
from overtone.results import Timings
from overtone.segmentation.segmenters import Segmenter
from overtone.system.process_guard import refuse_copy
from overtone.system.profiler import NULL_PROFILER, Profiler
from overtone.types import Samples

_Self = TypeVar("_Self", bound="Pipeline[Any, Any, Any]")  # typing.Self needs Python 3.11


class Pipeline(ABC, Generic[OptionsT, PooledT, ResultT]):
    """One set of models, loaded once; called from any number of threads.

    Generic over its options, the answer that its aggregator gives for a channel, and its result. A task defines which
    models are loaded, how a channel is segmented, which models a segment is submitted to, how their outputs are
    aggregated, and the result that is built of that.
    """

    options: OptionsT

    keeps_files = False
    """True if a source in flight may hold open files, whatever its options."""

    @classmethod
    def with_options(
        cls: type[_Self],
        options: OptionsT,
        profiler: Profiler = NULL_PROFILER,
        *,
        reserve: ReservedCapacity = NO_RESERVE,
    ) -> _Self:
        """A pipeline with exactly these options; neither environment nor config file is asked.

        Parameters
        ----------
        options
            Options that are made already, from whatever source.
        profiler
            What times each stage; a `TraceRecorder` keeps what it reads.
        reserve
            Capacity for what else this process does.

        Raises
        ------
        UsageError
            For options that the models cannot follow.
        ModelError
            For a model that is not found or cannot be loaded.
        DeviceError
            For a device that is not there.
        BudgetError
            If the memory given cannot hold the models.
        """
        pipeline = cls.__new__(cls)
        pipeline._start(options, profiler, reserve)
        return pipeline

    def _start(
        self, options: OptionsT, profiler: Profiler = NULL_PROFILER, reserve: ReservedCapacity = NO_RESERVE
    ) -> None:
        self._begin(options, self._load(options, profiler, reserve))

    @abstractmethod
    def _load(self, options: OptionsT, profiler: Profiler, reserve: ReservedCapacity) -> Runtime:
        """Load and start every model of the pipeline."""

    def _begin(self, options: OptionsT, started: Runtime, *, owned: bool = True) -> None:
        self.options = options
        self._owned = owned
        self._runtime = started
        self._ingestor = Ingestor(started)
        self._segmenters = SegmenterFactory(started)
        if owned and options.vad == SILERO:
            self._segmenters.load_beside()
        # A pipeline that is forgotten, and not closed, takes its engines along.
        if owned:
            weakref.finalize(self, started.close, drain=False)

    @property
    def decoded_s(self) -> float:
        """Seconds of audio decoded since the start, of all sources."""
        return self._ingestor.decoded_s

    @property
    def runtime(self) -> Runtime:
        """The running models, and their share of the budget."""
        return self._runtime

    def rename(self, names: Mapping[Role, str]) -> None:
        """Call models otherwise in results from now on, by their role."""
        self._runtime = self._runtime.renamed(names)

    @property
    def min_samples(self) -> int:
        """Fewest samples, at 16 kHz, that give an answer."""
        return self._runtime.model.task.min_samples

    def __reduce__(self) -> NoReturn:
        refuse_copy()

    def probe(self, source: AudioLike, name: str | None = None, *, audio_track: int | None = None) -> Probe:
        """Metadata in a source's header: seconds, channels, rate. InputError where it is no audio."""
        return self._ingestor.probe(source, name, audio_track)

    def submit_source(
        self, source: AudioLike | Input, call: CallOptions[OptionsT], ctx: RequestContext
    ) -> SubmittedSource[OptionsT, PooledT]:
        """Decode a source, segment it and submit its segments; the answers are pending then."""
        return self._ingestor.submit_source(self, named_source(source), call, ctx)

    @abstractmethod
    def make_segmenter(self, call: CallOptions[OptionsT], channels: int) -> Segmenter:
        """A segmenter for one channel of a source that has `channels` of them."""

    @abstractmethod
    def submit_segment(
        self, call: CallOptions[OptionsT], ctx: RequestContext, samples: Samples
    ) -> Sequence[Future[Any]]:
        """Submit a segment, float32 (samples,), to every model that hears it; may wait for room in the queue.

        Returns a future of each model's output.
        """

    @abstractmethod
    def make_aggregator(self, call: CallOptions[OptionsT]) -> Aggregator[PooledT]:
        """An aggregator of one channel's outputs."""

    @abstractmethod
    def build_result(self, sent: SubmittedSource[OptionsT, PooledT], channel: int, pooled: PooledT) -> ResultT:
        """The result of one channel of a submitted source, from its aggregated outputs."""

    @abstractmethod
    def _failed(self, error: OvertoneError, fields: Mapping[str, Any]) -> ResultT:
        """A result that has an error, and no answer."""

    def channel_result(self, sent: SubmittedSource[OptionsT, PooledT], channel: int) -> ResultT:
        """The result of one channel; waits for its answers. Raises what a segment met."""
        self._runtime.guard.check()
        try:
            return self.build_result(sent, channel, sent.channels[channel].aggregate())
        except OvertoneError as error:
            raise with_source(error, sent.name) from None

    def channel_error(self, sent: SubmittedSource[OptionsT, PooledT], channel: int, error: OvertoneError) -> ResultT:
        """The result of one channel that failed."""
        return self._failed(error, self._channel_fields(sent, channel))

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

    def _channel_fields(self, sent: SubmittedSource[OptionsT, PooledT], channel: int) -> dict[str, Any]:
        """The fields of `Result` for one channel of a submitted source."""
        stream, split = sent.channels[channel], sent.call.split
        return self._run_fields(sent.name, sent.id) | {
            "channel": channel if split else None,
            "channels": len(sent.channels) if split else None,
            "duration": sent.duration,
            "device": stream.device or self._runtime.engine.device,
            "timings": stream.timings(sent.decode_s, time.perf_counter() - sent.began),
        }

    def _call_options(self, options: Mapping[str, Any], *, envelope: bool) -> CallOptions[OptionsT]:
        return CallOptions(self.options.for_call(**options), envelope)

    def __call__(self, source: AudioLike, *, envelope: bool = False, **options: Any) -> ResultT:
        """The result of one source.

        Parameters
        ----------
        source
            A path, the bytes of a file, a binary file object, or `Audio(samples, rate)`; and what libraries give for
            one: `(array, rate)`, `(rate, array)`, and an `audio` of Hugging Face datasets, a dict of `array` and
            `sampling_rate` or of `bytes` and `path`.
        envelope
            Keep the waveform's peaks, for plots.
        **options
            Options that a call may have for itself, such as `granularity`.

        Returns
        -------
        EmotionResult or Transcript
            The answer for all of the source; its `error` is None.

        Raises
        ------
        InputError
            If the source cannot be used.
        BudgetError
            If the memory given cannot hold it.
        UsageError
            For an option that a call may not have, with `channels="split"`, which gives several results, and in a fork
            of the process that made this.

        Examples
        --------
        >>> import numpy as np
        >>> from overtone import Audio, EmotionRecognizer
        >>> with EmotionRecognizer("tiny") as recognizer:
        ...     result = recognizer(Audio(np.zeros(16_000, np.float32), 16_000))
        >>> result.label, result.duration
        ('silence', 1.0)
        """
        if options.get("channels", self.options.channels) == "split":
            raise UsageError("channels='split' gives several results for a source; take them from results_for(source).")
        return self.results_for(source, envelope=envelope, **options)[0]

    def results_for(
        self, source: Source, ctx: RequestContext | None = None, *, envelope: bool = False, **options: Any
    ) -> list[ResultT]:
        """The result of each channel of one source: a single one, but with `channels="split"`.

        Parameters
        ----------
        source
            As for a call, or an entry of `overtone.expand`.
        ctx
            Cancel it to abandon the request.
        envelope, **options
            As for a call.

        Returns
        -------
        list
            The results, in the order of the channels.

        Raises
        ------
        InputError, BudgetError, UsageError
            As for a call.
        concurrent.futures.CancelledError
            If the request was cancelled before all of the source was decoded.
        ModelError
            If the model failed, or (code `cancelled`) the request was cancelled after decoding.

        Examples
        --------
        >>> import numpy as np
        >>> from overtone import Audio, EmotionRecognizer
        >>> stereo = Audio(np.zeros((2, 16_000), np.float32), 16_000)
        >>> with EmotionRecognizer("tiny") as recognizer:
        ...     results = recognizer.results_for(stereo, channels="split")
        >>> [(result.channel, result.label) for result in results]
        [(0, 'silence'), (1, 'silence')]
        """
        if isinstance(source, FailedInput):
            raise source.error
        ctx = RequestContext() if ctx is None else ctx
        try:
            call = self._call_options(options, envelope=envelope)
            sent = self.submit_source(source, call, ctx)
            return [self.channel_result(sent, channel) for channel in range(len(sent.channels))]
        except BaseException:
            ctx.cancel()
            raise

    def error_result(self, name: str, error: OvertoneError, id: str | None = None) -> ResultT:
        """The result of a source called `name` that cannot be used: `error`, and no answer."""
        return self._failed(error, self._run_fields(name, id))

    def stream(self, sources: Iterable[Source], *, envelope: bool = False, **options: Any) -> Iterator[ResultT]:
        """The results of any number of sources, in order, in bounded memory.

        A source that cannot be used gives a result with `error` set and stops nothing.

        Parameters
        ----------
        sources
            Sources as for a call, or entries of `overtone.expand`, which lists folders and lists.
        envelope, **options
            As for a call.

        Returns
        -------
        iterator
            One result for each source, and with `channels="split"` one for each of its channels.

        Raises
        ------
        UsageError
            For an option that a call may not have, a single source in the place of several, and in a fork of the
            process that made this.

        Examples
        --------
        >>> from overtone import EmotionRecognizer
        >>> with EmotionRecognizer("tiny") as recognizer:
        ...     for result in recognizer.stream(["examples/angry.wav", "missing.wav"]):
        ...         print(result.source, result.label if result.ok else result.error.code)
        examples/angry.wav angry
        missing.wav not_found
        """
        self._runtime.guard.check()
        check_sources(sources)
        return ResultStream(self, self._call_options(options, envelope=envelope)).results(sources)

    def close(self, *, drain: bool = True) -> None:
        """Free the models.

        Parameters
        ----------
        drain
            Finish the segments that are queued; if False, drop them.
        """
        self._ingestor.close()
        if self._owned:
            self._runtime.close(drain=drain)

    def __enter__(self: _Self) -> _Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.close(drain=kind is None)
