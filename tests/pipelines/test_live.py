"""Speech as it comes in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from helpers.clips import EXAMPLES, decoded, voice
from overtone import Audio, EmotionRecognizer, InputError, ModelError, UsageError
from overtone.pipelines.live import LiveSession, LiveUpdate
from overtone.pipelines.request import RequestContext
from overtone.types import SAMPLE_RATE


def call_samples() -> np.ndarray:
    return decoded(EXAMPLES / "call.mp3")


def feed(live: LiveSession, samples: np.ndarray, size: int) -> list[LiveUpdate]:
    return [moment for start in range(0, len(samples), size) for moment in live.push(samples[start : start + size])]


@pytest.mark.parametrize("size", [160, 1000, 16_000, 100_000])
def test_moments_come_every_hop_over_the_last_window_however_it_is_fed(
    recognizer: EmotionRecognizer, size: int
) -> None:
    samples = voice(7.3, seed=2)
    live = recognizer.live(hop=1.0, window=4.0)
    spans = [(m.span.start_s, m.span.stop_s) for m in feed(live, samples, size)]
    assert spans == [(0, 1), (0, 2), (0, 3), (0, 4), (1, 5), (2, 6), (3, 7)]
    live.finish()


def test_a_moment_is_what_a_file_of_those_seconds_would_get(recognizer: EmotionRecognizer) -> None:
    samples = voice(6.0, seed=4)
    live = recognizer.live(hop=2.0, window=3.0)
    last = feed(live, samples, 4000)[-1]
    told = live.poll(last)
    alone = recognizer(Audio(samples[last.span.start : last.span.stop], SAMPLE_RATE))
    assert told.label == alone.label
    assert told.scores == pytest.approx(alone.scores, abs=1e-5)
    live.finish()


def test_at_the_end_it_is_what_the_file_gets(recognizer: EmotionRecognizer) -> None:
    samples = call_samples()
    live = recognizer.live(name="call")
    for moment in feed(live, samples, 3200):
        live.poll(moment)
    end, file = live.finish(), recognizer(Audio(samples, SAMPLE_RATE))
    assert (end.source, end.duration, end.label) == ("call", file.duration, file.label)
    assert end.scores == pytest.approx(file.scores, abs=1e-5)
    assert [s.span for s in end.segments] == [s.span for s in file.segments]


def test_silence_is_told_and_not_run(recognizer: EmotionRecognizer) -> None:
    live, ran = recognizer.live(), recognizer.runtime.engine.stats.segments
    told = [live.poll(moment).label for moment in feed(live, np.zeros(3 * SAMPLE_RATE, np.float32), 1600)]
    assert told == ["silence"] * 3
    assert live.finish().label == "silence"
    assert recognizer.runtime.engine.stats.segments == ran


def test_its_load_counts_windows_and_what_is_heard_for_the_end(recognizer: EmotionRecognizer) -> None:
    assert recognizer.live(hop=1.0, window=4.0).realtime_factor == 5.0
    assert recognizer.live(hop=0.5, window=4.0).realtime_factor == 9.0


def test_a_caller_that_goes_takes_its_moments_along(small_checkpoint: Path) -> None:
    with EmotionRecognizer(str(small_checkpoint), memory="4GiB") as own:
        ctx = RequestContext()
        live = own.live(ctx)
        moments = feed(live, voice(30.0), 16_000)
        ctx.cancel()
        assert any(moment.answer is not None for moment in moments)
        assert all(moment.answer is None or moment.answer.done() or moment.answer.running() for moment in moments)


def test_a_session_that_is_cancelled_or_over_gives_nothing_more(recognizer: EmotionRecognizer) -> None:
    ctx = RequestContext()
    live = recognizer.live(ctx)
    live.push(voice(2.0))
    ctx.cancel()
    with pytest.raises(ModelError, match="cancelled") as error:
        live.finish()
    assert error.value.code == "cancelled"
    over = recognizer.live()
    over.push(voice(2.0))
    assert over.finish().ok
    for again in (over.finish, lambda: over.push(voice(1.0))):
        with pytest.raises(UsageError, match="finished"):
            again()


def test_too_little_and_what_it_cannot_be_asked_for(recognizer: EmotionRecognizer) -> None:
    live = recognizer.live()
    live.push(np.zeros(10, np.float32))
    with pytest.raises(InputError, match="live: it lasts"):
        live.finish()
    with pytest.raises(UsageError, match=r"every 0\.1 s"):
        recognizer.live(hop=0.05)
    with pytest.raises(UsageError, match="loaded for 30 s"):
        recognizer.live(window=40.0)
    with pytest.raises(UsageError, match="settled"):
        recognizer.live(precision="int8")
