"""Who waits, and what is done once nobody does."""

from __future__ import annotations

from concurrent.futures import CancelledError

import numpy as np
import pytest

from helpers.clips import voice
from overtone import Audio, EmotionRecognizer, UsageError
from overtone.errors import ModelError
from overtone.pipelines.request import RequestContext
from overtone.types import ModelOutput, Samples


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


def test_frames_are_never_recalled_as_they_are_not_kept(recognizer: EmotionRecognizer) -> None:
    audio, ctx = Audio(voice(5.0), 16_000), Remembering()
    recognizer.results_for(audio, ctx)
    (fine,) = recognizer.results_for(audio, ctx, granularity="frame")
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
        ({"memory": "1GiB"}, "--memory is settled when the model is loaded"),
        ({"context": "full"}, "--context is settled"),
        ({"segment": "none"}, "--segment none"),
        ({"max_segment": 60.0}, "loaded for 30 s"),
        ({"segment": "window", "window": 100.0}, "--window makes segments of up to 100.5 s"),
        ({"hop": 9.0, "window": 2.0}, "longer than --window"),
        ({"windows": 2.0}, "did you mean 'window'"),
    ],
)
def test_options_that_a_call_cannot_have(recognizer: EmotionRecognizer, options: dict, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        recognizer(Audio(voice(2.0), 16_000), **options)
