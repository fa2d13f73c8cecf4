"""The emotion pipeline: sources in, `EmotionResult`s out."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from overtone import config, runtime
from overtone.audio import Decoder, Readable
from overtone.config import Options
from overtone.errors import BudgetError, InputError, OvertoneError, UsageError
from overtone.inputs import FailedInput, Input
from overtone.memory import Shape, format_size
from overtone.merge import Merger
from overtone.plan import bucket, enough_for
from overtone.resources import standard_input
from overtone.segment import Cutter, PauseSegmenter, WholeCutter, WindowCutter
from overtone.track import Track
from overtone.vad import SileroVad
from overtone.values import BYTES_PER_SAMPLE, SAMPLE_RATE, EmotionResult, Granularity, Timings

Source = Readable | Input | FailedInput

_AHEAD = 64
"""Sources that may be under way in `stream`. Enough short clips to fill batches; what one holds once it is decoded
is its share of the audio in flight, and then only its results."""


@dataclass(frozen=True, slots=True)
class _Wishes:
    """What one call wants kept."""

    frames: bool
    envelope: bool


@dataclass(frozen=True, slots=True, eq=False)
class _Sent:
    """A source that has been decoded and cut; its tracks still wait for answers."""

    tracks: list[Track]
    duration: float
    decode_s: float
    began: float
    warnings: tuple[str, ...]


class EmotionRecognizer:
    """Tells the emotion in speech. One model, loaded once; call it from as many threads as you like.

        recognizer = EmotionRecognizer("tiny", memory="2GiB")
        result = recognizer("call.mp3")
        for result in recognizer.stream(paths): ...

    model: `tiny` (bundled), an alias, a hub id or a checkpoint folder. options: see `overtone.config.Options`.
    Close it, or use it as a context manager, to free the model.

    Raises UsageError (options), ModelError (checkpoint, download), DeviceError, and BudgetError if the memory given
    cannot hold it.
    """

    def __init__(self, model: str | None = None, **options: Any) -> None:
        given = options if model is None else {"model": model, **options}
        self._start(config.load(**given))

    @classmethod
    def with_options(cls, options: Options) -> EmotionRecognizer:
        """A recogniser with options that are made already; neither environment nor config file is asked again."""
        recognizer = cls.__new__(cls)
        recognizer._start(options)
        return recognizer

    def _start(self, options: Options) -> None:
        self.options = options
        self._runtime = runtime.start(options)
        self._vad = SileroVad()

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes, in the order of scores; empty for a model without classes."""
        head = self._runtime.network.head
        return head.labels(as_published=self.options.labels == "published") if head else ()

    @property
    def runtime(self) -> runtime.Runtime:
        """The engine, the network and where they run."""
        return self._runtime

    def __call__(
        self, source: Readable, *, granularity: Granularity | None = None, envelope: bool = False
    ) -> EmotionResult:
        """The emotion of one source: a path, bytes, a binary file object, or `Audio(samples, rate)`.

        granularity: for this call, instead of the recogniser's. envelope: keep the waveform's outline, for plots.
        Raises InputError if it cannot be used, BudgetError if it cannot be held, UsageError with `channels="split"`
        (use `stream`).
        """
        if self.options.channels == "split":
            raise UsageError("channels='split' gives several results for a source; take them from stream([source]).")
        sent = self._send(source, None, self._wishes(granularity, envelope), threading.Event())
        return self._result(sent, 0, _name(source), None)

    def stream(
        self, sources: Iterable[Source], *, granularity: Granularity | None = None, envelope: bool = False
    ) -> Iterator[EmotionResult]:
        """The emotion of any number of sources, in order, in bounded memory.

        A source that cannot be used gives a result with `error` set and stops nothing. With `channels="split"` each
        channel gives a result. To list folders and lists, see `overtone.expand`. granularity, envelope: as for a call.
        """
        wishes = self._wishes(granularity, envelope)
        stop = threading.Event()
        pool = ThreadPoolExecutor(self._runtime.decoders, thread_name_prefix="overtone-decode")
        under_way: deque[tuple[Source, Future[_Sent] | None]] = deque()
        try:
            for source in sources:
                failed = isinstance(source, FailedInput)
                sent = None if failed else pool.submit(self._send, *_opened(source), wishes, stop)
                under_way.append((source, sent))
                if len(under_way) >= _AHEAD:
                    yield from self._next(under_way)
            while under_way:
                yield from self._next(under_way)
        finally:
            stop.set()
            pool.shutdown(wait=True, cancel_futures=True)
            for _, sending in under_way:
                _drop(sending)

    def _next(self, under_way: deque[tuple[Source, Future[_Sent] | None]]) -> Iterator[EmotionResult]:
        # Taken off when it is answered: a source that is left while it is waited for is dropped with the rest.
        yield from self._results(*under_way[0])
        under_way.popleft()

    def _results(self, source: Source, sending: Future[_Sent] | None) -> Iterator[EmotionResult]:
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

    def _wishes(self, granularity: Granularity | None, envelope: bool) -> _Wishes:
        chosen = self.options if granularity is None else self.options.replace(granularity=granularity)
        return _Wishes(chosen.granularity == "frame", envelope)

    def _send(self, source: Readable, name: str | None, wishes: _Wishes, stop: threading.Event) -> _Sent:
        """Decode, cut and submit a whole source."""
        began, decode_s = time.perf_counter(), 0.0
        tracks: list[Track] = []
        try:
            with Decoder(source, name) as decoder:
                split = self.options.channels == "split"
                blocks = decoder.channel_blocks() if split else (block[None] for block in decoder.blocks())
                while not stop.is_set():
                    at = time.perf_counter()
                    block = next(blocks, None)
                    decode_s += time.perf_counter() - at
                    if block is None:
                        break
                    # Counted in what was decoded: the header may say otherwise.
                    tracks = tracks or [self._track(wishes) for _ in block]
                    _push(tracks, block)
                for track in tracks:
                    track.finish(decoder.name)
                return _Sent(tracks, decoder.decoded_s, decode_s, began, decoder.warnings)
        except BaseException:
            for track in tracks:
                track.cancel()
            raise

    def _track(self, wishes: _Wishes) -> Track:
        network, options = self._runtime.network, self.options
        merger = Merger(
            network.head,
            hop=network.hop,
            dim=network.dim,
            want_frames=wishes.frames,
            as_published=options.labels == "published",
        )
        submit = partial(self._runtime.engine.submit, want_frames=wishes.frames)
        return Track(self._cutter(), submit, merger, shortest=network.shortest, envelope=wishes.envelope)

    def _cutter(self) -> Cutter:
        options = self.options
        if options.whole:
            return WholeCutter(self._admit, keep_silence=options.keep_silence)
        if options.segment == "window":
            window, hop = (round(s * SAMPLE_RATE) for s in (options.window, options.hop or options.window))
            return WindowCutter(window, hop, keep_silence=options.keep_silence)
        return PauseSegmenter(self._runtime.longest, self._vad, keep_silence=options.keep_silence)

    def _admit(self, samples: int) -> None:
        """BudgetError where a file that is to run whole is longer than the budget can hold."""
        plan = self._runtime.engine.plan
        seconds = bucket(samples) / SAMPLE_RATE
        # The samples are held twice for a moment: as they came, and as one segment.
        held = max(0, 2 * samples * BYTES_PER_SAMPLE - plan.audio_bytes)
        need = plan.cost.predict(Shape(1, seconds)) + held
        if need > plan.batch_bytes:
            raise BudgetError(
                f"run whole, its first {seconds:.0f} s already need {format_size(need)}, and "
                f"{format_size(plan.batch_bytes)} are left of {format_size(plan.budget_bytes)}; give more than "
                f"{enough_for(plan.budget_bytes, need - plan.batch_bytes)}, or let it be cut (--context segment)."
            )

    def _result(self, sent: _Sent, channel: int, name: str, key: str | None) -> EmotionResult:
        track = sent.tracks[channel]
        merged = track.wait()
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
        sent: _Sent | None = None,
        channel: int = 0,
        error: OvertoneError | None = None,
    ) -> EmotionResult:
        """A result that says what is known before, or without, an answer. `sent` None: it was never decoded."""
        split = sent is not None and self.options.channels == "split"
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
            device=self._runtime.device,
            timings=timings,
            error=error,
        )

    def close(self, *, drain: bool = True) -> None:
        """Finish what is queued (without `drain`: drop it) and free the model."""
        self._runtime.engine.close(drain=drain)

    def __enter__(self) -> EmotionRecognizer:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.close(drain=kind is None)


def _push(tracks: list[Track], block: npt.NDArray[np.float32]) -> None:
    for track, samples in zip(tracks, block, strict=True):
        track.push(samples)
        if track.error is not None and all(t.error is not None for t in tracks):
            raise track.error


def _drop(sending: Future[_Sent] | None) -> None:
    """Nobody waits for this source any more."""
    if sending is not None and not sending.cancelled() and sending.exception() is None:
        for track in sending.result().tracks:
            track.cancel()


def _opened(source: Source) -> tuple[Readable, str | None]:
    """What the decoder is to read, and under what name."""
    assert not isinstance(source, FailedInput)
    if isinstance(source, Input):
        return (source.path if source.path is not None else standard_input()), source.source
    return source, None


def _name(source: Source) -> str:
    if isinstance(source, Input | FailedInput):
        return source.source
    if isinstance(source, str):
        return source
    return str(getattr(source, "name", None) or ("bytes" if isinstance(source, bytes) else source))
