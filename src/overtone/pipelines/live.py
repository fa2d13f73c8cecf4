"""Speech as it comes in: an answer for the last seconds at every hop, and at the end the result of a file of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from overtone.audio.pcm import mono_samples
from overtone.engine.runtime import Runtime
from overtone.errors import Code, ModelError, UsageError
from overtone.merging.timeline import top_label
from overtone.options.emotion import Options
from overtone.pipelines.live_input import LiveInput
from overtone.pipelines.request import RequestContext
from overtone.results import SILENCE, EmotionResult, SegmentResult
from overtone.segmentation.segment_builder import has_no_speech
from overtone.types import SAMPLE_RATE, EmotionOutput, Granularity, Samples, Span, SupportsArray
from overtone.wording import param

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
    speech
        Samples of speech among them.

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
    speech: int = 0

    @property
    def start(self) -> float:
        """Start in seconds."""
        return self.span.start_s

    @property
    def end(self) -> float:
        """End in seconds; it lies after the last sample."""
        return self.span.stop_s


class LiveSession:
    """One channel of speech that is still going on. Used by one thread at a time; made by `EmotionRecognizer.live`.

    Feed it with `push`, which returns the updates that are complete, read those with `poll`, and end with `finish`.
    At another rate than 16 kHz up to 26 ms are held back until more comes: `flush` returns the updates that these
    complete.

    Examples
    --------
    >>> import numpy as np
    >>> from overtone import EmotionRecognizer
    >>> with EmotionRecognizer("tiny") as recognizer:
    ...     session = recognizer.live(hop=1.0, name="microphone")
    ...     for second in np.zeros((3, 16_000), np.float32):
    ...         for update in session.push(second):
    ...             print(update.end, session.poll(update).label)
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
        audio: LiveInput,
        options: Options,
        ctx: RequestContext,
        name: str,
        finished: Callable[[float, float], EmotionResult],
    ) -> None:
        # finished: makes the result, from the seconds of audio and the time when it began.
        hop_s = 1.0 if options.hop is None else options.hop
        if hop_s < MIN_HOP_S:
            raise UsageError(f"{param('hop')} is {hop_s:g}; live answers come every {MIN_HOP_S:g} s at most.")
        self._runtime, self._flow = runtime, ctx.flow
        self._hop, self._window = (round(seconds * SAMPLE_RATE) for seconds in (hop_s, options.window))
        self._granularity, self._name, self._finished = options.granularity, name, finished
        self._audio, self._keep_silence = audio, options.keep_silence
        head = runtime.model.task.head
        self._labels = head.labels(as_published=options.labels == "published") if head else ()
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
        return self._audio.channel.samples

    def push(self, samples: npt.NDArray[Any] | SupportsArray) -> list[LiveUpdate]:
        """Take in samples; may wait for room in the queue.

        Parameters
        ----------
        samples
            Any number of them, shape (samples,), at the session's rate: floats at full scale ±1, or PCM as in `Audio`.

        Returns
        -------
        list of LiveUpdate
            The updates that these samples complete.

        Raises
        ------
        ModelError
            If the model failed on an earlier segment.
        InputError
            If these are no samples of one channel, or not numbers; none of them are taken.
        UsageError
            If the session was finished, and in a fork of the process that made it.
        """
        self._runtime.guard.check()
        if self._audio.ended:
            raise UsageError(f"{self._name}: the session is finished, and takes no more audio; begin another.")
        return self._take(self._audio.resample(mono_samples(samples, self._name)))

    def flush(self) -> list[LiveUpdate]:
        """End the audio; may wait for room in the queue. `finish` does it, too, and lets its updates go.

        Returns
        -------
        list of LiveUpdate
            The updates that samples which were held back complete; at most one.

        Raises
        ------
        ModelError
            If the model failed on an earlier segment.
        """
        self._runtime.guard.check()
        return self._take(self._audio.flush())

    def _take(self, samples: Samples) -> list[LiveUpdate]:
        """Take in samples at 16 kHz."""
        updates = []
        while len(samples) and not self._cancelled:
            until = min(len(samples), self._next - self.samples)
            self._audio.take(samples[:until], self._window)
            samples = samples[until:]
            if self.samples == self._next:
                self._next += self._hop
                updates.append(self._update())
        if self._audio.channel.error is not None:
            raise self._audio.channel.error
        return updates

    def _update(self) -> LiveUpdate:
        recent = self._audio.recent
        span = Span(self.samples - len(recent), self.samples)
        speech = self._audio.speech_in(span)
        silent = not self._keep_silence and has_no_speech(recent, speech)
        if silent or len(recent) < self._runtime.model.task.min_samples:
            return LiveUpdate(span, None)
        answer = self._runtime.engine.submit(recent, flow=self._flow)
        self._asked.add(answer)
        answer.add_done_callback(self._asked.discard)
        if self._cancelled:  # meanwhile
            answer.cancel()
        return LiveUpdate(span, answer, speech)

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
        self._runtime.guard.check()
        if update.answer is None:
            return SegmentResult(update.span, SILENCE, None, None)
        output = update.answer.result()
        head = self._runtime.model.task.head
        scores = np.zeros(0) if head is None else head.scores(output.total / output.count)
        return SegmentResult(update.span, *top_label(self._labels, scores), update.speech / SAMPLE_RATE)

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
        self._runtime.guard.check()
        if self._cancelled:
            raise ModelError(f"{self._name}: the session was cancelled before its end.", code=Code.CANCELLED)
        self.flush()
        self._audio.channel.finish(self._name)
        return self._finished(self.samples / SAMPLE_RATE, self._began)
