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
from overtone.errors import Code, InputError, ModelError, OvertoneError, UsageError
from overtone.results import Timings
from overtone.segmentation.segmenters import Segmenter
from overtone.system.memory import memory_error
from overtone.system.profiler import NULL_PROFILER, Profiler
from overtone.types import SAMPLE_RATE, ModelOutput, Samples, Segment

PooledT_co = TypeVar("PooledT_co", covariant=True)


class Aggregator(Protocol[PooledT_co]):
    """Builds a channel's answer from the outputs of its segments, which come in any order. Thread-safe."""

    def add_silence(self, segment: Segment) -> None:
        """Add a segment without speech."""

    def add(self, segment: Segment, answer: Any) -> None:
        """Add a model's output for a segment, whose samples are let go by then.

        Called once for each model that the segment was submitted to.
        """

    def finish(self) -> PooledT_co:
        """The answer, once everything has been added."""


Submit = Callable[[Samples], "Sequence[Future[Any]]"]
"""Submits a segment, float32 (samples,), to every model that hears it."""

OnOutput = Callable[[Segment, "ModelOutput | None"], None]
"""Takes a segment without samples and a model's output for it, or None for silence; `RequestContext.on_output`."""


def _ignored(segment: Segment, output: ModelOutput | None) -> None:
    """Nothing follows the outputs."""


@dataclass(slots=True)
class _Spent:
    cut_s: float = 0.0
    wait_s: float = 0.0
    run_s: float = 0.0
    merge_s: float = 0.0


class ChannelStream(Generic[PooledT_co]):
    """A channel's samples on their way to its answer: `push` blocks, `finish`, then `aggregate`.

    Fed by one thread, answered by the engine's. Segments are submitted as they are cut, so a source of any length is
    never held; an answer is let go as soon as it is merged. min_samples: fewest samples that the model gives an answer
    for. on_output: follows the outputs, in the threads that merge.
    """

    def __init__(
        self,
        segmenter: Segmenter,
        submit: Submit,
        aggregator: Aggregator[PooledT_co],
        *,
        min_samples: int,
        envelope: bool = False,
        profiler: Profiler = NULL_PROFILER,
        on_output: OnOutput = _ignored,
    ) -> None:
        self._segmenter: Segmenter | None = segmenter
        self._submit = submit
        self._aggregator = aggregator
        self._min_samples = min_samples
        self._envelope = Envelope() if envelope else None
        self._profiler = profiler
        self._on_output = on_output
        self._spent = _Spent()
        self._notes: dict[str, None] = {}
        self._devices: set[str] = set()
        self._pending: set[Future[Any]] = set()
        self._settled = threading.Condition()
        self.error: OvertoneError | None = None
        self.samples = 0
        self._speech = 0

    def push(self, block: Samples) -> None:
        """Take in a block, float32 (samples,); may wait for room in the engine."""
        self.samples += len(block)
        if self._envelope:
            self._envelope.push(block)
        segmenter = self._open_segmenter()
        self._send(segmenter.push(block))
        self._speech = segmenter.speech

    def finish(self, name: str) -> None:
        """End the source, called `name`. InputError if it was too short for a single frame."""
        if self.samples < self._min_samples:
            raise InputError(
                f"{name}: {self.samples} samples; at least {self._min_samples} samples "
                f"({1000 * self._min_samples / SAMPLE_RATE:g} ms) are needed, at {SAMPLE_RATE // 1000} kHz",
                code=Code.TOO_SHORT,
            )
        last, self._segmenter = self._open_segmenter(), None  # what it holds is not needed while answers are waited for
        self._send(last.finish())
        self._speech = last.speech

    def _open_segmenter(self) -> Segmenter:
        if self._segmenter is None:
            raise UsageError("it is finished, and takes no more audio; begin another.")
        return self._segmenter

    def _send(self, segments: Iterator[Segment]) -> None:
        while self.error is None:
            began = self._profiler.begin()
            segment = next(segments, None)
            self._spent.cut_s += self._profiler.end("cut", began)
            if segment is None:
                return
            # The rest of a file may be too short for a single frame.
            if segment.silent or len(segment.samples) < self._min_samples:
                self._aggregator.add_silence(segment)
                self._on_output(segment.without_samples(), None)
                continue
            answers = self._submit(segment.samples)
            with self._settled:
                self._pending.update(answers)
            for answer in answers:
                answer.add_done_callback(self._on_answer(segment.without_samples()))

    def _on_answer(self, segment: Segment) -> Callable[[Future[Any]], None]:
        def settle(future: Future[Any]) -> None:
            began = self._profiler.begin()
            error: OvertoneError | None = None
            try:
                output = future.result()
                self._aggregator.add(segment, output)
                self._on_output(segment, output)
                with self._settled:
                    self._spent.wait_s = max(self._spent.wait_s, output.wait_s)
                    self._spent.run_s += output.run_s
                    self._notes.update(dict.fromkeys(output.notes))
                    self._devices.add(output.device)
            except OvertoneError as known:
                error = known
            except CancelledError:
                error = ModelError("the engine was closed before this was run", code=Code.CANCELLED)
            except Exception as unknown:  # noqa: BLE001 - in the engine's thread; it must reach the one who waits
                place = f"{segment.span.start_s:.1f}-{segment.span.stop_s:.1f} s"
                error = memory_error(unknown) or ModelError(f"the model failed on {place} ({unknown!r})")
            merge_s = self._profiler.end("merge", began)
            with self._settled:
                self._spent.merge_s += merge_s
                self.error = self.error or error
                self._pending.discard(future)
                self._settled.notify_all()

        return settle

    def aggregate(self) -> PooledT_co:
        """Wait for every answer and aggregate them. Raises the first error that a segment met."""
        with self._settled:
            self._settled.wait_for(lambda: not self._pending)
        if self.error is not None:
            raise self.error
        began = self._profiler.begin()
        merged = self._aggregator.finish()
        self._spent.merge_s += self._profiler.end("merge", began)
        return merged

    def cancel(self) -> None:
        """Drop the segments that have not been run."""
        with self._settled:
            pending = list(self._pending)
        for answer in pending:
            answer.cancel()

    def timings(self, decode_s: float, total_s: float) -> Timings:
        """Seconds that each stage took for this channel; call `aggregate` before."""
        spent = self._spent
        return Timings(
            decode_s, spent.cut_s, spent.wait_s, spent.run_s, spent.merge_s, total_s, notes=tuple(self._notes)
        )

    @property
    def speech_s(self) -> float:
        """Seconds of speech in the segments so far, each second counted once where windows overlap."""
        return self._speech / SAMPLE_RATE

    @property
    def device(self) -> str:
        """Devices that its answers so far ran on, joined by commas; empty before the first."""
        return ",".join(sorted(self._devices))

    @property
    def envelope(self) -> npt.NDArray[np.float32] | None:
        """Peaks of the waveform, float32 (n, 2), if they were asked for; see `EmotionResult`."""
        return self._envelope.rows() if self._envelope else None
