"""Speech as it comes in: an answer for the last seconds at every hop, and at the end what a file of it would get."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass

import numpy as np

from overtone.engine.runtime import Runtime
from overtone.errors import UsageError
from overtone.merging.emotion import PooledEmotion
from overtone.merging.timeline import top_label
from overtone.options.emotion import Options
from overtone.pipelines.channel import ChannelStream
from overtone.pipelines.request import RequestContext
from overtone.segmentation.segmenters import is_silent
from overtone.types import SAMPLE_RATE, SILENCE, EmotionOutput, EmotionResult, Granularity, Samples, SegmentResult, Span

SHORTEST_HOP_S = 0.1
"""Seconds. Emotion does not change faster, and every hop runs a whole window through the model."""


@dataclass(frozen=True, slots=True, eq=False)
class LiveUpdate:
    """The last seconds at one hop. `answer`: what the model says of them, when it has; None where nobody speaks."""

    span: Span
    answer: Future[EmotionOutput] | None


class LiveSession:
    """One channel of speech that is still going on. Used by one thread at a time; made by `EmotionRecognizer.live`.

    Feed it with `push`, which gives the updates that are complete, read those with `poll`, and end with `finish`.
    finished: makes the result, of the seconds of audio and when it began.
    """

    def __init__(
        self,
        runtime: Runtime,
        channel: ChannelStream[PooledEmotion],
        options: Options,
        ctx: RequestContext,
        name: str,
        finished: Callable[[float, float], EmotionResult],
    ) -> None:
        hop_s = 1.0 if options.hop is None else options.hop
        if hop_s < SHORTEST_HOP_S:
            raise UsageError(f"--hop is {hop_s:g}; live answers come every {SHORTEST_HOP_S:g} s at most.")
        self._runtime = runtime
        self._hop, self._window = (round(seconds * SAMPLE_RATE) for seconds in (hop_s, options.window))
        self._granularity, self._name, self._finished = options.granularity, name, finished
        self._channel = channel
        head = runtime.model.task.head
        self._labels = head.labels(as_published=options.labels == "published") if head else ()
        self._recent = np.zeros(0, np.float32)
        self._next = self._hop
        self._began = time.perf_counter()
        self._asked: set[Future[EmotionOutput]] = set()
        self._cancelled = False
        ctx.on_cancel(self._drop)

    def _drop(self) -> None:
        self._cancelled = True
        for answer in tuple(self._asked):
            answer.cancel()

    @property
    def name(self) -> str:
        """What its result is called."""
        return self._name

    @property
    def granularity(self) -> Granularity:
        """How fine that is."""
        return self._granularity

    @property
    def realtime_factor(self) -> float:
        """Seconds of audio that the model runs for each second of it: windows overlap, and all is heard once more."""
        return self._window / self._hop + 1

    @property
    def samples(self) -> int:
        """Samples so far, at 16 kHz."""
        return self._channel.samples

    def push(self, samples: Samples) -> list[LiveUpdate]:
        """Take in float32 (samples,) at 16 kHz; may wait for room in the queue. Returns the complete updates."""
        updates = []
        while len(samples) and not self._cancelled:
            until = min(len(samples), self._next - self._channel.samples)
            self._channel.push(samples[:until])
            self._recent = np.concatenate([self._recent, samples[:until]])[-self._window :]
            samples = samples[until:]
            if self._channel.samples == self._next:
                self._next += self._hop
                updates.append(self._update())
        if self._channel.error is not None:
            raise self._channel.error
        return updates

    def _update(self) -> LiveUpdate:
        stop = self._channel.samples
        span = Span(stop - len(self._recent), stop)
        if len(self._recent) < self._runtime.model.task.min_samples or is_silent(self._recent):
            return LiveUpdate(span, None)
        answer = self._runtime.engine.submit(self._recent)
        self._asked.add(answer)
        answer.add_done_callback(self._asked.discard)
        if self._cancelled:  # meanwhile
            answer.cancel()
        return LiveUpdate(span, answer)

    def poll(self, update: LiveUpdate) -> SegmentResult:
        """The label of an update; waits for the model. Raises what its segment met."""
        if update.answer is None:
            return SegmentResult(update.span, SILENCE, None, None)
        output = update.answer.result()
        head = self._runtime.model.task.head
        scores = np.zeros(0) if head is None else head.scores(output.total / output.count)
        return SegmentResult(update.span, *top_label(self._labels, scores))

    def finish(self) -> EmotionResult:
        """It ends here: what a file of it would get. InputError if there was too little of it."""
        self._channel.finish(self._name)
        return self._finished(self._channel.samples / SAMPLE_RATE, self._began)
