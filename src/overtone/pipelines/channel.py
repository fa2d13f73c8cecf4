"""One channel of one source: segmented, submitted, answered, aggregated."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from overtone.audio.envelope import Envelope
from overtone.errors import InputError, ModelError, OvertoneError
from overtone.segmentation.segmenters import Segmenter
from overtone.system.profiler import NULL_PROFILER, Profiler
from overtone.types import SAMPLE_RATE, Samples, Segment, Span, Timings

_Pooled_co = TypeVar("_Pooled_co", covariant=True)


class Aggregator(Protocol[_Pooled_co]):
    """Puts a channel's answer together from the outputs of its segments, in whatever order they come. Thread-safe."""

    def add_silence(self, segment: Segment) -> None:
        """A segment in which nobody speaks."""

    def add(self, index: int, span: Span, answer: Any) -> None:
        """What a model says of a segment; once for each model that was asked."""

    def finish(self) -> _Pooled_co:
        """The answer, once everything has been added."""


Submit = Callable[[Samples], "Sequence[Future[Any]]"]
"""Asks every model for what it says of a segment."""


@dataclass(slots=True)
class _Spent:
    cut_s: float = 0.0
    wait_s: float = 0.0
    run_s: float = 0.0
    merge_s: float = 0.0


class ChannelStream(Generic[_Pooled_co]):
    """A channel's samples on their way to its answer: `push` blocks, `finish`, then `aggregate`.

    Fed by one thread, answered by the engine's. Segments are submitted as they are cut, so a source of any length is
    never held; an answer is let go as soon as it is merged. min_samples: samples below which the model has nothing
    to work on.
    """

    def __init__(
        self,
        segmenter: Segmenter,
        submit: Submit,
        aggregator: Aggregator[_Pooled_co],
        *,
        min_samples: int,
        envelope: bool = False,
        stages: Profiler = NULL_PROFILER,
    ) -> None:
        self._segmenter: Segmenter | None = segmenter
        self._submit = submit
        self._aggregator = aggregator
        self._min_samples = min_samples
        self._envelope = Envelope() if envelope else None
        self._stages = stages
        self._spent = _Spent()
        self._notes: dict[str, None] = {}
        self._devices: set[str] = set()
        self._owed: set[Future[Any]] = set()
        self._settled = threading.Condition()
        self.error: OvertoneError | None = None
        self.samples = 0

    def push(self, block: Samples) -> None:
        """Take in a block, float32 (samples,); may wait for room in the engine."""
        self.samples += len(block)
        if self._envelope:
            self._envelope.push(block)
        assert self._segmenter is not None
        self._send(self._segmenter.push(block))

    def finish(self, name: str) -> None:
        """The source called `name` ends here. InputError if it was too short for a single frame."""
        if self.samples < self._min_samples:
            raise InputError(
                f"{name}: it lasts {self.samples / SAMPLE_RATE:.3f} s; "
                f"the model needs {self._min_samples / SAMPLE_RATE:.3f} s at least",
                code="too_short",
            )
        assert self._segmenter is not None
        last, self._segmenter = self._segmenter, None  # what it holds is not needed while answers are waited for
        self._send(last.finish())

    def _send(self, segments: Iterator[Segment]) -> None:
        while self.error is None:
            began = self._stages.begin()
            segment = next(segments, None)
            self._spent.cut_s += self._stages.end("cut", began)
            if segment is None:
                return
            # The rest of a file may be too short for a single frame.
            if segment.silent or len(segment.samples) < self._min_samples:
                self._aggregator.add_silence(segment)
                continue
            answers = self._submit(segment.samples)
            with self._settled:
                self._owed.update(answers)
            for answer in answers:
                answer.add_done_callback(self._on_answer(segment))

    def _on_answer(self, segment: Segment) -> Callable[[Future[Any]], None]:
        index, span = segment.index, segment.span  # and not the samples

        def settle(future: Future[Any]) -> None:
            began = self._stages.begin()
            error: OvertoneError | None = None
            try:
                output = future.result()
                self._aggregator.add(index, span, output)
                with self._settled:
                    self._spent.wait_s = max(self._spent.wait_s, output.wait_s)
                    self._spent.run_s += output.run_s
                    self._notes.update(dict.fromkeys(output.notes))
                    self._devices.add(output.device)
            except OvertoneError as known:
                error = known
            except CancelledError:
                error = ModelError("the engine was closed before this was run", code="cancelled")
            except Exception as unknown:  # noqa: BLE001 - in the engine's thread; it must reach the one who waits
                error = ModelError(f"the model failed on {span.start_s:.1f}-{span.stop_s:.1f} s ({unknown!r})")
            merge_s = self._stages.end("merge", began)
            with self._settled:
                self._spent.merge_s += merge_s
                self.error = self.error or error
                self._owed.discard(future)
                self._settled.notify_all()

        return settle

    def aggregate(self) -> _Pooled_co:
        """Wait for every answer and aggregate them. Raises the first error that a segment met."""
        with self._settled:
            self._settled.wait_for(lambda: not self._owed)
        if self.error is not None:
            raise self.error
        began = self._stages.begin()
        merged = self._aggregator.finish()
        self._spent.merge_s += self._stages.end("merge", began)
        return merged

    def cancel(self) -> None:
        """Nobody waits any more: what has not been run will not be."""
        with self._settled:
            owed = list(self._owed)
        for answer in owed:
            answer.cancel()

    def timings(self, decode_s: float, total_s: float) -> Timings:
        """What this channel took; `aggregate` first."""
        spent = self._spent
        return Timings(
            decode_s, spent.cut_s, spent.wait_s, spent.run_s, spent.merge_s, total_s, notes=tuple(self._notes)
        )

    @property
    def device(self) -> str:
        """What its answers so far ran on, several joined by commas; empty before the first."""
        return ",".join(sorted(self._devices))

    @property
    def envelope(self) -> npt.NDArray[np.float32] | None:
        """The waveform's outline, if it was asked for; see `EmotionResult`."""
        return self._envelope.rows() if self._envelope else None
