"""Speech as it comes in: an answer for the last seconds at every hop, and at the end the result of a file of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass

import numpy as np

from overtone.engine.runtime import Runtime
from overtone.errors import Code, ModelError, UsageError
from overtone.merging.emotion import PooledEmotion
from overtone.merging.timeline import top_label
from overtone.options.emotion import Options
from overtone.pipelines.channel import ChannelStream
from overtone.pipelines.request import RequestContext
from overtone.results import SILENCE, EmotionResult, SegmentResult
from overtone.segmentation.segmenters import is_silent
from overtone.types import SAMPLE_RATE, EmotionOutput, Granularity, Samples, Span

MIN_HOP_S = 0.1
"""Seconds. Emotion does not change faster, and every hop runs a whole window through the model."""


@dataclass(frozen=True, slots=True, eq=False)
class LiveUpdate:
    """The last seconds at one hop of a `LiveSession`; read it with `LiveSession.poll`.

    Attributes
    ----------
    span
        The samples that it is about, from the session's start.
    answer
        The model's output for them, pending; None for silence.

    Examples
    --------
    >>> import numpy as np
    >>> from overtone import EmotionRecognizer
    >>> with EmotionRecognizer("tiny") as recognizer:
    ...     [update] = recognizer.live(hop=1.0).push(np.zeros(16_000, np.float32))
    >>> update.span, update.answer
    (Span(start=0, stop=16000), None)
    """

    span: Span
    answer: Future[EmotionOutput] | None


class LiveSession:
    """One channel of speech that is still going on. Used by one thread at a time; made by `EmotionRecognizer.live`.

    Feed it with `push`, which returns the updates that are complete, read those with `poll`, and end with `finish`.

    Examples
    --------
    >>> import numpy as np
    >>> from overtone import EmotionRecognizer
    >>> with EmotionRecognizer("tiny") as recognizer:
    ...     session = recognizer.live(hop=1.0, name="microphone")
    ...     for second in np.zeros((3, 16_000), np.float32):
    ...         for update in session.push(second):
    ...             print(update.span.stop_s, session.poll(update).label)
    ...     result = session.finish()
    1.0 silence
    2.0 silence
    3.0 silence
    >>> result.source, result.duration
    ('microphone', 3.0)
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
        # finished: makes the result, from the seconds of audio and the time when it began.
        hop_s = 1.0 if options.hop is None else options.hop
        if hop_s < MIN_HOP_S:
            raise UsageError(f"--hop is {hop_s:g}; live answers come every {MIN_HOP_S:g} s at most.")
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
        """The `source` of its result."""
        return self._name

    @property
    def granularity(self) -> Granularity:
        """The granularity of its result."""
        return self._granularity

    @property
    def realtime_factor(self) -> float:
        """Seconds of audio that the model runs for each second that comes in.

        Windows overlap, and at the end everything is heard once more.
        """
        return self._window / self._hop + 1

    @property
    def samples(self) -> int:
        """Samples taken in so far, at 16 kHz."""
        return self._channel.samples

    def push(self, samples: Samples) -> list[LiveUpdate]:
        """Take in samples; may wait for room in the queue.

        Parameters
        ----------
        samples
            Any number of them, float32 (samples,), at 16 kHz, full scale ±1.

        Returns
        -------
        list of LiveUpdate
            The updates that these samples complete.

        Raises
        ------
        ModelError
            If the model failed on an earlier segment.
        UsageError
            If the session was finished.
        """
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
        """The label of an update; waits for the model.

        Parameters
        ----------
        update
            One that `push` of this session returned.

        Returns
        -------
        SegmentResult
            The emotion over `update.span`; label `silence` where there is no speech.

        Raises
        ------
        OvertoneError
            If the model failed on it.
        concurrent.futures.CancelledError
            If the session was cancelled.
        """
        if update.answer is None:
            return SegmentResult(update.span, SILENCE, None, None)
        output = update.answer.result()
        head = self._runtime.model.task.head
        scores = np.zeros(0) if head is None else head.scores(output.total / output.count)
        return SegmentResult(update.span, *top_label(self._labels, scores))

    def finish(self) -> EmotionResult:
        """End the session; waits for the model.

        Returns
        -------
        EmotionResult
            The result that a file of all its samples would get.

        Raises
        ------
        InputError
            If there was too little audio for an answer.
        UsageError
            If it was finished before.
        ModelError
            If the model failed, or (code `cancelled`) the session was cancelled.
        """
        if self._cancelled:
            raise ModelError(f"{self._name}: the session was cancelled before its end.", code=Code.CANCELLED)
        self._channel.finish(self._name)
        return self._finished(self._channel.samples / SAMPLE_RATE, self._began)
