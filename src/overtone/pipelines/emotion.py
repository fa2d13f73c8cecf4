"""The emotion pipeline: sources in, `EmotionResult`s out."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from overtone.audio import Resampler
from overtone.engine import runtime
from overtone.engine.runtime import ReservedCapacity, Runtime
from overtone.errors import OvertoneError
from overtone.merging.emotion import EmotionAggregator, PooledEmotion
from overtone.options import loading
from overtone.options.emotion import Options
from overtone.pipelines.base import Pipeline
from overtone.pipelines.ingest import SubmittedSource
from overtone.pipelines.live import LiveSession
from overtone.pipelines.live_input import LiveInput
from overtone.pipelines.request import CallOptions, RequestContext, submit_to_model
from overtone.results import EmotionResult
from overtone.segmentation.segmenters import Segmenter
from overtone.system.profiler import Profiler
from overtone.types import FRAMES, SAMPLE_RATE, EmotionOutput, Samples

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from typing_extensions import Unpack  # in `typing` from Python 3.11 on

    from overtone.audio import AudioLike
    from overtone.options.keywords import EmotionCallKeywords, EmotionKeywords
    from overtone.pipelines.ingest import Source


class EmotionRecognizer(Pipeline[Options, PooledEmotion, EmotionResult]):
    """Recognizes the emotion in speech. One model, loaded once; call it from as many threads as you like.

    Close it, or use it as a context manager, to free the model.

    Parameters
    ----------
    model
        `tiny` (bundled), an alias, a hub id or a checkpoint folder.
    **options
        Fields of `overtone.Options`, and `profile`, a file that `overtone tune` wrote: options given here win over
        it, and it wins over the environment.

    Raises
    ------
    UsageError
        For an option that does not exist or does not fit.
    ModelError
        For a checkpoint that is not found, cannot be downloaded, or is broken.
    DeviceError
        For a device that is not there.
    BudgetError
        If the memory given cannot hold the model.

    Examples
    --------
    >>> from overtone import EmotionRecognizer
    >>> with EmotionRecognizer("tiny") as recognizer:
    ...     result = recognizer("examples/angry.wav")
    >>> result.label
    'angry'
    """

    def __init__(self, model: str | None = None, **options: Unpack[EmotionKeywords]) -> None:
        given: dict[str, Any] = {**options} if model is None else {"model": model, **options}
        self._start(loading.load(Options, **given))

    if TYPE_CHECKING:  # with the options that a call may have; each takes fewer than any pipeline might

        def __call__(  # type: ignore[override]
            self, source: AudioLike, *, envelope: bool = False, **options: Unpack[EmotionCallKeywords]
        ) -> EmotionResult: ...

        def results_for(  # type: ignore[override]
            self,
            source: Source,
            ctx: RequestContext | None = None,
            *,
            envelope: bool = False,
            **options: Unpack[EmotionCallKeywords],
        ) -> list[EmotionResult]: ...

        def stream(  # type: ignore[override]
            self, sources: Iterable[Source], *, envelope: bool = False, **options: Unpack[EmotionCallKeywords]
        ) -> Iterator[EmotionResult]: ...

    @classmethod
    def from_runtime(cls, started: Runtime) -> EmotionRecognizer:
        """A recognizer over a model that runs already as part of something else, which outlives it."""
        recognizer = cls.__new__(cls)
        recognizer._begin(started.options, started, owned=False)
        return recognizer

    def _load(self, options: Options, profiler: Profiler, reserve: ReservedCapacity) -> Runtime:
        return runtime.start(options, profiler, reserve)

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes, in the order of `scores`; empty for a model without classes."""
        head = self._runtime.model.task.head
        return head.labels(as_published=self.options.labels == "published") if head else ()

    def live(
        self,
        ctx: RequestContext | None = None,
        *,
        name: str = "live",
        rate: int = SAMPLE_RATE,
        **options: Unpack[EmotionCallKeywords],
    ) -> LiveSession:
        """A session for speech that is still going on: updates every `hop` seconds for the last `window` seconds.

        Parameters
        ----------
        ctx
            Cancel it to abandon the session.
        name
            The `source` of its result.
        rate
            Of its samples, in Hz; they are resampled as those of a file are.
        **options
            As for a call; `hop` is 1 second if it is not given.

        Raises
        ------
        InputError
            For a rate that is no whole number from 1,000 to 768,000.
        UsageError
            For an option that a call may not have, and for a `hop` under 0.1 seconds.

        Examples
        --------
        >>> import numpy as np
        >>> from overtone import EmotionRecognizer
        >>> with EmotionRecognizer("tiny") as recognizer:
        ...     session = recognizer.live(hop=0.5)
        ...     labels = [session.poll(update).label for update in session.push(np.zeros(16_000, np.float32))]
        ...     result = session.finish()
        >>> labels, result.source
        (['silence', 'silence'], 'live')
        """
        resampler = Resampler(1, rate, name)
        self.options.for_call(**{**options, "segment": "window"})  # the windows of its updates can be run
        call = self._call_options({**options, "segment": "vad"}, envelope=False)
        ctx = RequestContext() if ctx is None else ctx
        channel = self._ingestor.open_channel(self, call, ctx)

        def finished(duration: float, began: float) -> EmotionResult:
            return self.channel_result(SubmittedSource(name, None, call, [channel], duration, 0.0, began, ()), 0)

        audio = LiveInput(resampler, channel, self._segmenters.live_track(call.options))
        return LiveSession(self._runtime, audio, call.options, ctx, name, finished)

    def make_segmenter(self, call: CallOptions[Options], channels: int) -> Segmenter:
        """A segmenter as the options of the call ask for it."""
        return self._segmenters.make(call.options, channels)

    def submit_segment(
        self, call: CallOptions[Options], ctx: RequestContext, samples: Samples
    ) -> tuple[Future[EmotionOutput]]:
        """Submit a segment to the model: its frames, or their sum."""
        decode_params = FRAMES if call.frames else None
        return (submit_to_model(self._runtime.engine, ctx, samples, "emotion", decode_params),)

    def make_aggregator(self, call: CallOptions[Options]) -> EmotionAggregator:
        """An aggregator that pools frames over the channel."""
        task = self._runtime.model.task
        return EmotionAggregator(
            task.head,
            hop=task.hop,
            dim=task.dim,
            want_frames=call.frames,
            as_published=call.options.labels == "published",
        )

    def build_result(
        self, sent: SubmittedSource[Options, PooledEmotion], channel: int, pooled: PooledEmotion
    ) -> EmotionResult:
        """The emotion of one channel."""
        return EmotionResult(
            label=pooled.verdict.label,
            score=pooled.verdict.score,
            scores=pooled.verdict.scores,
            shares=pooled.verdict.shares,
            speech_s=sent.channels[channel].speech_s,
            pooled=pooled.pooled,
            segments=pooled.segments,
            warnings=sent.warnings,
            embedding=pooled.embedding,
            frames=pooled.frames,
            envelope=sent.channels[channel].envelope,
            **self._channel_fields(sent, channel),
        )

    def _failed(self, error: OvertoneError, fields: Mapping[str, Any]) -> EmotionResult:
        return EmotionResult.failed(error, **fields)
