"""The emotion pipeline: sources in, `EmotionResult`s out."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import replace
from typing import Any

from overtone.engine import runtime
from overtone.engine.runtime import NO_RESERVE, ReservedCapacity, Runtime
from overtone.errors import OvertoneError, with_source
from overtone.merging.emotion import EmotionAggregator, PooledEmotion
from overtone.options import sources
from overtone.options.emotion import Options
from overtone.pipelines.base import Pipeline
from overtone.pipelines.ingest import SubmittedSource
from overtone.pipelines.live import LiveSession
from overtone.pipelines.request import CallOptions, RequestContext
from overtone.pipelines.segmenter_factory import SegmenterFactory
from overtone.pipelines.way import ask
from overtone.segmentation.segmenters import Segmenter
from overtone.system.profiler import NULL_PROFILER, Profiler
from overtone.types import FRAMES, EmotionOutput, EmotionResult, Samples


class EmotionRecognizer(Pipeline[EmotionResult, PooledEmotion]):
    """Tells the emotion in speech. One model, loaded once; call it from as many threads as you like.

        recognizer = EmotionRecognizer("tiny", memory="2GiB")
        result = recognizer("call.mp3")
        for result in recognizer.stream(paths): ...

    model: `tiny` (bundled), an alias, a hub id or a checkpoint folder. options: see `overtone.Options`, and
    `profile`, a file that `overtone tune` wrote: what is given here wins over it, it wins over the environment.
    Close it, or use it as a context manager, to free the model.

    Raises UsageError (options), ModelError (checkpoint, download), DeviceError, and BudgetError if the memory given
    cannot hold it.
    """

    def __init__(self, model: str | None = None, **options: Any) -> None:
        given = options if model is None else {"model": model, **options}
        self._start(sources.load(**given))

    @classmethod
    def with_options(
        cls, options: Options, stages: Profiler = NULL_PROFILER, *, reserve: ReservedCapacity = NO_RESERVE
    ) -> EmotionRecognizer:
        """A recogniser with options that are made already; neither environment nor config file is asked again.

        stages: what times it; a `TraceRecorder` keeps what it reads. reserve: capacity for what else this process does.
        """
        recognizer = cls.__new__(cls)
        recognizer._start(options, stages, reserve)
        return recognizer

    @classmethod
    def from_runtime(cls, started: Runtime) -> EmotionRecognizer:
        """A recogniser over a model that runs already, as part of something else, which outlives it."""
        recognizer = cls.__new__(cls)
        recognizer._begin(started, _Way(started), owned=False)
        return recognizer

    def _start(
        self, options: Options, stages: Profiler = NULL_PROFILER, reserve: ReservedCapacity = NO_RESERVE
    ) -> None:
        started = runtime.start(options, stages, reserve)
        self._begin(started, _Way(started))

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes, in the order of scores; empty for a model without classes."""
        head = self._runtime.network.head
        return head.labels(as_published=self.options.labels == "published") if head else ()

    def live(self, ctx: RequestContext | None = None, *, name: str = "live", **options: Any) -> LiveSession:
        """Speech that is still going on: an answer every `hop` seconds (1 unless said) for the last `window` seconds.

        name: what its result is to be called. caller, options: as for `each`. Raises UsageError for an option.
        """
        self.options.for_call(**{**options, "segment": "window"})  # the windows of its moments can be run
        call = self._wishes({**options, "segment": "vad"}, envelope=False)

        def finished(sent: SubmittedSource[PooledEmotion]) -> EmotionResult:
            return self._result(sent, 0, name, None)

        return LiveSession(self._runtime, self._intake, call, RequestContext() if ctx is None else ctx, name, finished)

    def _result(self, sent: SubmittedSource[PooledEmotion], channel: int, name: str, key: str | None) -> EmotionResult:
        track = sent.tracks[channel]
        try:
            merged = track.wait()
        except OvertoneError as error:
            raise with_source(error, name) from None
        return replace(
            self._empty_result(name, key, sent, channel),
            label=merged.label,
            score=merged.score,
            scores=merged.scores,
            segments=merged.segments,
            warnings=sent.warnings,
            embedding=merged.embedding,
            frames=merged.frames,
            envelope=track.envelope,
        )

    def _empty_result(
        self,
        name: str,
        key: str | None,
        sent: SubmittedSource[PooledEmotion] | None = None,
        channel: int = 0,
        error: OvertoneError | None = None,
    ) -> EmotionResult:
        return EmotionResult(
            label=None, score=None, scores=None, segments=(), **self._common_fields(name, key, sent, channel, error)
        )


class _Way:
    """See `Way`: one model is asked, and its frames are pooled."""

    keeps_files = False

    def __init__(self, started: Runtime) -> None:
        self._runtime = started
        self._cutters = SegmenterFactory(started)
        self.shortest = started.network.shortest

    def make_segmenter(self, options: Options, channels: int) -> Segmenter:
        """See Way."""
        return self._cutters.make(options, channels)

    def make_aggregator(self, options: Options) -> EmotionAggregator:
        """See Way."""
        network = self._runtime.network
        return EmotionAggregator(
            network.head,
            hop=network.hop,
            dim=network.dim,
            want_frames=options.granularity == "frame",
            as_published=options.labels == "published",
        )

    def submit_segment(self, call: CallOptions, ctx: RequestContext, samples: Samples) -> tuple[Future[EmotionOutput]]:
        """See Way."""
        return (ask(self._runtime.engine, ctx, samples, "emotion", FRAMES if call.frames else None),)
