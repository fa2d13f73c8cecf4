"""Who waits, and what is done once nobody does."""

from __future__ import annotations

from concurrent.futures import CancelledError

import numpy as np
import pytest

from helpers.clips import voice
from overtone import Audio, EmotionRecognizer, UsageError
from overtone.errors import ModelError
from overtone.pipelines.request import RequestContext
from overtone.types import ModelOutput, Samples, Segment


class Remembering(RequestContext):
    """Keeps all that was said, and counts what it did not know."""

    def __init__(self, background: bool = False) -> None:
        super().__init__()
        self.background = background
        self.said: dict[tuple[str, bytes], ModelOutput] = {}
        self.new = 0

    def cache_get(self, question: str, samples: Samples) -> ModelOutput | None:
        return self.said.get((question, samples.tobytes()))

    def cache_put(self, question: str, samples: Samples, answer: ModelOutput) -> None:
        self.said[question, samples.tobytes()] = answer
        self.new += 1


class Impatient(RequestContext):
    """Stops once so many seconds have been decoded, or raises."""

    def __init__(self, after_s: float, error: Exception | None = None) -> None:
        super().__init__()
        self._after_s, self._error = after_s, error
        self.heard_s = 0.0

    def on_progress(self, seconds: float) -> None:
        self.heard_s = seconds
        if seconds >= self._after_s:
            if self._error is not None:
                raise self._error
            self.cancel()


class Following(RequestContext):
    """Notes every output."""

    def __init__(self) -> None:
        super().__init__()
        self.outputs: list[tuple[Segment, ModelOutput | None]] = []

    def on_output(self, segment: Segment, output: ModelOutput | None) -> None:
        self.outputs.append((segment, output))


def test_every_segment_is_followed_once(recognizer: EmotionRecognizer) -> None:
    samples = voice(40.0, seed=4)
    samples[16_000 * 10 : 16_000 * 20] = 0
    ctx = Following()
    (result,) = recognizer.results_for(Audio(samples, 16_000), ctx, segment="window", window=5.0)
    assert sorted(segment.index for segment, _ in ctx.outputs) == list(range(8))
    assert all(len(segment.samples) == 0 for segment, _ in ctx.outputs)
    silent = {segment.span for segment, output in ctx.outputs if output is None}
    assert silent == {segment.span for segment in result.segments if segment.label == "silence"}
    assert len(silent) == 2


def test_an_error_of_who_follows_fails_the_source_alone(recognizer: EmotionRecognizer) -> None:
    class Failing(RequestContext):
        def on_output(self, segment: Segment, output: ModelOutput | None) -> None:
            raise ModelError("enough")

    with pytest.raises(ModelError, match="enough"):
        recognizer.results_for(Audio(voice(3.0), 16_000), Failing())
    assert recognizer(Audio(voice(3.0), 16_000)).ok


def test_a_context_that_is_used_again_and_again_keeps_nothing_of_what_has_gone() -> None:
    class Work:
        def __init__(self) -> None:
            self.stopped = 0

        def stop(self) -> None:
            self.stopped += 1

    ctx, lasting = RequestContext(), Work()
    for _ in range(1000):
        ctx.on_cancel(Work().stop)
        ctx.on_cancel(lasting.stop)
    assert len(ctx._callbacks) <= 2
    ctx.cancel()
    assert lasting.stopped == 1


def test_work_for_a_caller_that_stops_is_done_at_once_and_once() -> None:
    done: list[str] = []
    ctx = RequestContext()
    ctx.on_cancel(lambda: done.append("before"))
    ctx.cancel()
    ctx.on_cancel(lambda: done.append("after"))
    ctx.cancel()
    assert done == ["before", "after"]
    assert ctx.cancelled


def test_a_caller_that_stops_ends_its_source_alone(recognizer: EmotionRecognizer) -> None:
    long, batches = Audio(voice(60.0), 16_000), recognizer.runtime.engine.stats.segments
    ctx = Impatient(3.0)
    with pytest.raises(CancelledError):
        recognizer.results_for(long, ctx)
    assert ctx.heard_s < 10
    assert recognizer.runtime.engine.stats.segments - batches <= 1
    assert recognizer(Audio(voice(2.0), 16_000)).ok


def test_a_callers_own_error_is_what_its_source_ends_with(recognizer: EmotionRecognizer) -> None:
    with pytest.raises(ModelError, match="enough"):
        recognizer.results_for(Audio(voice(30.0), 16_000), Impatient(3.0, ModelError("enough")))


def test_what_is_known_is_not_run_again_and_gives_the_same_answer(recognizer: EmotionRecognizer) -> None:
    audio, ctx = Audio(voice(90.0, seed=3), 16_000), Remembering()
    (first,) = recognizer.results_for(audio, ctx, segment="window", window=10.0)
    asked, ran = ctx.new, recognizer.runtime.engine.stats.segments
    (second,) = recognizer.results_for(audio, ctx, segment="window", window=10.0)
    assert asked >= 9
    assert ctx.new == asked
    assert recognizer.runtime.engine.stats.segments == ran
    assert second.scores == first.scores
    np.testing.assert_array_equal(second.embedding, first.embedding)


def test_frames_are_another_question_with_an_answer_of_its_own(recognizer: EmotionRecognizer) -> None:
    audio, ctx = Audio(voice(5.0), 16_000), Remembering()
    recognizer.results_for(audio, ctx)
    assert ctx.new == 1
    for _ in range(2):
        (fine,) = recognizer.results_for(audio, ctx, granularity="frame")
        assert ctx.new == 2
        assert fine.frames is not None
        assert len(fine.frames.starts) > 200


def test_background_callers_get_the_same_answer(recognizer: EmotionRecognizer) -> None:
    audio = Audio(voice(40.0, seed=5), 16_000)
    assert recognizer.results_for(audio, Remembering(background=True))[0].scores == pytest.approx(
        recognizer(audio).scores, abs=1e-5
    )


def test_a_call_has_options_of_its_own(recognizer: EmotionRecognizer) -> None:
    audio = Audio(voice(9.0), 16_000)
    windows = recognizer(audio, segment="window", window=2.0, hop=1.0)
    assert [round(s.span.start_s, 3) for s in windows.segments][:3] == [0.0, 1.0, 2.0]
    assert len(recognizer(audio).segments) == 1  # and leaves none of them behind
    stereo = Audio(np.stack([voice(3.0), voice(3.0, seed=1)]), 16_000)
    assert [r.channel for r in recognizer.results_for(stereo, channels="split")] == [0, 1]
    assert [r.channel for r in recognizer.stream([stereo], channels="split")] == [0, 1]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"memory": "1GiB"}, "memory is settled when the model is loaded"),
        ({"context": "full"}, "context is settled"),
        ({"segment": "none"}, "segment='none'"),
        ({"max_segment": 60.0}, "loaded for 30 s"),
        ({"segment": "window", "window": 100.0}, "window makes segments of up to 100.5 s"),
        ({"hop": 9.0, "window": 2.0}, "longer than window"),
        ({"windows": 2.0}, "did you mean 'window'"),
    ],
)
def test_options_that_a_call_cannot_have(recognizer: EmotionRecognizer, options: dict, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        recognizer(Audio(voice(2.0), 16_000), **options)
