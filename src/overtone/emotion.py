"""The emotion pipeline: sources in, `EmotionResult`s out."""

from __future__ import annotations

import os
import time
import weakref
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from overtone import config, runtime
from overtone.audio import Readable, name_of
from overtone.caller import Caller
from overtone.errors import InputError, OvertoneError, UsageError, about
from overtone.inputs import FailedInput, Input
from overtone.intake import Intake, Sent, Wishes
from overtone.live import Live
from overtone.options import Options
from overtone.resources import standard_input
from overtone.runtime import NOTHING, Beside
from overtone.stages import OFF, Stages
from overtone.values import BYTES_PER_SAMPLE, SAMPLE_RATE, EmotionResult, Timings

Source = Readable | Input | FailedInput

_UnderWay = tuple[Source, Caller, "Future[Sent] | None"]

_AHEAD = 64
"""Sources that may be under way in `stream`. Enough short clips to fill batches; what one holds once it is decoded
is its share of the audio in flight, and then only its results."""

_FAR_AHEAD = 1024
"""Files that may be under way where batches are so large that it takes more of them."""

_SHORT_S = 2.0
"""Seconds of the clips that are to fill such batches."""


class EmotionRecognizer:
    """Tells the emotion in speech. One model, loaded once; call it from as many threads as you like.

        recognizer = EmotionRecognizer("tiny", memory="2GiB")
        result = recognizer("call.mp3")
        for result in recognizer.stream(paths): ...

    model: `tiny` (bundled), an alias, a hub id or a checkpoint folder. options: see `overtone.options.Options`, and
    `profile`, a file that `overtone tune` wrote: what is given here wins over it, it wins over the environment.
    Close it, or use it as a context manager, to free the model.

    Raises UsageError (options), ModelError (checkpoint, download), DeviceError, and BudgetError if the memory given
    cannot hold it.
    """

    def __init__(self, model: str | None = None, **options: Any) -> None:
        given = options if model is None else {"model": model, **options}
        self._start(config.load(**given))

    @classmethod
    def with_options(cls, options: Options, stages: Stages = OFF, *, beside: Beside = NOTHING) -> EmotionRecognizer:
        """A recogniser with options that are made already; neither environment nor config file is asked again.

        stages: what times it; a `Recorder` keeps what it reads. beside: what else this process is to have room for.
        """
        recognizer = cls.__new__(cls)
        recognizer._start(options, stages, beside)
        return recognizer

    def _start(self, options: Options, stages: Stages = OFF, beside: Beside = NOTHING) -> None:
        self.options = options
        self._runtime = runtime.start(options, stages, beside)
        self._intake = Intake(self._runtime)
        # A recogniser that is forgotten, and not closed, takes its engine along.
        weakref.finalize(self, self._runtime.engine.close, drain=False)

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes, in the order of scores; empty for a model without classes."""
        head = self._runtime.network.head
        return head.labels(as_published=self.options.labels == "published") if head else ()

    @property
    def decoded_s(self) -> float:
        """Seconds of audio decoded since the start."""
        return self._intake.decoded_s

    @property
    def runtime(self) -> runtime.Runtime:
        """The engine, the network and where they run."""
        return self._runtime

    def __call__(self, source: Readable, *, envelope: bool = False, **options: Any) -> EmotionResult:
        """The emotion of one source: a path, bytes, a binary file object, or `Audio(samples, rate)`.

        envelope: keep the waveform's outline, for plots. options: those of `overtone.options.PER_CALL`, for this call,
        such as `granularity`. Raises InputError if it cannot be used, BudgetError if it cannot be held, UsageError for
        an option, and with `channels="split"` (use `each`).
        """
        if options.get("channels", self.options.channels) == "split":
            raise UsageError("channels='split' gives several results for a source; take them from each(source).")
        return self.each(source, envelope=envelope, **options)[0]

    def each(
        self, source: Source, caller: Caller | None = None, *, envelope: bool = False, **options: Any
    ) -> list[EmotionResult]:
        """The emotion of each channel that was asked for of one source: one result, but with `channels="split"`.

        caller: who waits, and may stop waiting. envelope, options, errors: as for a call; CancelledError where the
        caller stopped before all was decoded, and ModelError (cancelled) after.
        """
        if isinstance(source, FailedInput):
            raise source.error
        caller = Caller() if caller is None else caller
        name, key = _name(source), source.id if isinstance(source, Input) else None
        try:
            sent = self._intake.send(*_opened(source), self._wishes(options, envelope), caller)
            return [self._result(sent, channel, name, key) for channel in range(len(sent.tracks))]
        except BaseException:
            caller.stop()
            raise

    def unanswered(self, name: str, error: OvertoneError) -> EmotionResult:
        """The result of a source called `name` that cannot be used."""
        return self._blank(name, None, error=error)

    def live(self, caller: Caller | None = None, *, name: str = "live", **options: Any) -> Live:
        """Speech that is still going on: an answer every `hop` seconds (1 unless said) for the last `window` seconds.

        name: what its result is to be called. caller, options: as for `each`. Raises UsageError for an option.
        """
        self.options.for_call(**{**options, "segment": "window"})  # the windows of its moments can be run
        wishes = self._wishes({**options, "segment": "vad"}, envelope=False)

        def finished(sent: Sent) -> EmotionResult:
            return self._result(sent, 0, name, None)

        return Live(self._runtime, self._intake, wishes, Caller() if caller is None else caller, name, finished)

    def stream(self, sources: Iterable[Source], *, envelope: bool = False, **options: Any) -> Iterator[EmotionResult]:
        """The emotion of any number of sources, in order, in bounded memory.

        A source that cannot be used gives a result with `error` set and stops nothing. With `channels="split"` each
        channel gives a result. To list folders and lists, see `overtone.expand`. envelope, options: as for a call.
        """
        wishes = self._wishes(options, envelope)
        pool = ThreadPoolExecutor(self._runtime.decoders, thread_name_prefix="overtone-decode")
        under_way: deque[_UnderWay] = deque()
        try:
            for source in sources:
                failed, caller = isinstance(source, FailedInput), Caller()
                sent = None if failed else pool.submit(self._intake.send, *_opened(source), wishes, caller)
                under_way.append((source, caller, sent))
                while len(under_way) >= self._ahead(source, wishes):
                    yield from self._next(under_way)
            while under_way:
                yield from self._next(under_way)
        finally:
            # Not waited for: one may be in the middle of a read that nobody ends.
            pool.shutdown(wait=False, cancel_futures=True)
            for _, caller, _ in under_way:
                caller.stop()

    def _ahead(self, source: Source, wishes: Wishes) -> int:
        """Sources that may be under way: with large batches, as many short clips as there may be audio in flight."""
        # Audio in memory is held from when it is handed over, and a spool of frames may be an open file.
        if wishes.frames or not isinstance(source, Input | FailedInput | str | os.PathLike):
            return _AHEAD
        plan = self._runtime.engine.plan
        in_flight_s = (plan.audio_bytes - plan.cutting_bytes) / (SAMPLE_RATE * BYTES_PER_SAMPLE)
        return max(_AHEAD, min(_FAR_AHEAD, round(in_flight_s / _SHORT_S)))

    def _next(self, under_way: deque[_UnderWay]) -> Iterator[EmotionResult]:
        # Taken off when it is answered: a source that is left while it is waited for is dropped with the rest.
        source, _, sending = under_way[0]
        yield from self._results(source, sending)
        under_way.popleft()

    def _results(self, source: Source, sending: Future[Sent] | None) -> Iterator[EmotionResult]:
        name, key = _name(source), source.id if isinstance(source, Input | FailedInput) else None
        if isinstance(source, FailedInput):
            yield self._blank(name, key, error=source.error)
            return
        assert sending is not None
        try:
            sent = sending.result()
        except OvertoneError as error:
            yield self._blank(name, key, error=error)
            return
        except Exception as error:  # noqa: BLE001 - our fault, and still no reason to lose the other sources
            unexpected = InputError(
                f"{name}: it met a fault of Overtone's own ({error!r}); please report it", code="fault"
            )
            yield self._blank(name, key, error=unexpected)
            return
        for channel in range(len(sent.tracks)):
            try:
                yield self._result(sent, channel, name, key)
            except OvertoneError as error:
                yield self._blank(name, key, sent, channel, error)

    def _wishes(self, options: Mapping[str, Any], envelope: bool) -> Wishes:
        return Wishes(self.options.for_call(**options), envelope)

    def _result(self, sent: Sent, channel: int, name: str, key: str | None) -> EmotionResult:
        track = sent.tracks[channel]
        try:
            merged = track.wait()
        except OvertoneError as error:
            raise about(error, name) from None
        return replace(
            self._blank(name, key, sent, channel),
            label=merged.label,
            score=merged.score,
            scores=merged.scores,
            segments=merged.segments,
            warnings=sent.warnings,
            embedding=merged.embedding,
            frames=merged.frames,
            envelope=track.envelope,
        )

    def _blank(
        self,
        name: str,
        key: str | None,
        sent: Sent | None = None,
        channel: int = 0,
        error: OvertoneError | None = None,
    ) -> EmotionResult:
        """A result that says what is known before, or without, an answer. `sent` None: it was never decoded."""
        split = sent is not None and sent.wishes.split
        timings = Timings()
        if sent is not None:
            timings = sent.tracks[channel].timings(sent.decode_s, time.perf_counter() - sent.began)
        return EmotionResult(
            source=name,
            id=key,
            channel=channel if split else None,
            channels=len(sent.tracks) if sent is not None and split else None,
            duration=sent.duration if sent is not None else 0.0,
            label=None,
            score=None,
            scores=None,
            segments=(),
            model=self._runtime.network.name,
            precision=self._runtime.precision,
            device=(sent.tracks[channel].device if sent is not None else "") or self._runtime.device,
            backend=self._runtime.backend,
            timings=timings,
            error=error,
        )

    def close(self, *, drain: bool = True) -> None:
        """Finish what is queued (without `drain`: drop it) and free the model."""
        self._intake.close()
        self._runtime.engine.close(drain=drain)

    def __enter__(self) -> EmotionRecognizer:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.close(drain=kind is None)


def _opened(source: Source) -> tuple[Readable, str | None]:
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
