"""The emotion pipeline: sources in, `EmotionResult`s out."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future
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
from overtone.pipelines.request import CallOptions, RequestContext, submit_to_model
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
        recognizer._begin(started, owned=False)
        return recognizer

    def _start(
        self, options: Options, stages: Profiler = NULL_PROFILER, reserve: ReservedCapacity = NO_RESERVE
    ) -> None:
        self._begin(runtime.start(options, stages, reserve))

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes, in the order of scores; empty for a model without classes."""
        head = self._runtime.model.task.head
        return head.labels(as_published=self.options.labels == "published") if head else ()

    def live(self, ctx: RequestContext | None = None, *, name: str = "live", **options: Any) -> LiveSession:
        """Speech that is still going on: an answer every `hop` seconds (1 unless said) for the last `window` seconds.

        name: what its result is to be called. ctx, options: as for `results_for`. Raises UsageError for an option.
        """
        self.options.for_call(**{**options, "segment": "window"})  # the windows of its updates can be run
        call = self._call_options({**options, "segment": "vad"}, envelope=False)
        ctx = RequestContext() if ctx is None else ctx
        channel = self._ingestor.open_channel(self, call, ctx)

        def finished(duration: float, began: float) -> EmotionResult:
            return self.build_result(SubmittedSource(name, None, call, [channel], duration, 0.0, began, ()), 0)

        return LiveSession(self._runtime, channel, call.options, ctx, name, finished)

    def make_segmenter(self, call: CallOptions, channels: int) -> Segmenter:
        """A segmenter as the options of the call ask for it."""
        return self._segmenters.make(call.options, channels)

    def submit_segment(self, call: CallOptions, ctx: RequestContext, samples: Samples) -> tuple[Future[EmotionOutput]]:
        """Submit a segment to the model: its frames, or their sum."""
        decode_params = FRAMES if call.frames else None
        return (submit_to_model(self._runtime.engine, ctx, samples, "emotion", decode_params),)

    def make_aggregator(self, call: CallOptions) -> EmotionAggregator:
        """An aggregator that pools frames over the channel."""
        network = self._runtime.model
        return EmotionAggregator(
            network.task.head,
            hop=network.task.hop,
            dim=network.task.dim,
            want_frames=call.frames,
            as_published=call.options.labels == "published",
        )

    def build_result(self, sent: SubmittedSource[PooledEmotion], channel: int) -> EmotionResult:
        """The emotion of one channel."""
        stream = sent.channels[channel]
        try:
            pooled = stream.aggregate()
        except OvertoneError as error:
            raise with_source(error, sent.name) from None
        return EmotionResult(
            label=pooled.label,
            score=pooled.score,
            scores=pooled.scores,
            segments=pooled.segments,
            warnings=sent.warnings,
            embedding=pooled.embedding,
            frames=pooled.frames,
            envelope=stream.envelope,
            **self._channel_fields(sent, channel),
        )

    def _failed(self, error: OvertoneError, fields: Mapping[str, Any]) -> EmotionResult:
        return EmotionResult(label=None, score=None, scores=None, segments=(), error=error, **fields)
