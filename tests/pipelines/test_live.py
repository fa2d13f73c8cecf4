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
    moments = feed(live, samples, size)
    spans = [(m.span.start_s, m.span.stop_s) for m in moments]
    assert [(m.start, m.end) for m in moments] == spans
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


@pytest.mark.parametrize("rate", [8_000, 22_050, 24_000, 32_000, 44_100, 48_000])
def test_at_any_rate_it_is_what_the_file_gets(recognizer: EmotionRecognizer, rate: int) -> None:
    samples = voice(12.0, seed=3, rate=rate)
    live = recognizer.live(rate=rate)
    updates = [*feed(live, samples, 999), *live.flush()]
    assert [update.span.stop_s for update in updates] == list(range(1, 13))
    assert live.samples == 12 * SAMPLE_RATE
    end, file = live.finish(), recognizer(Audio(samples, rate))
    assert (end.duration, end.label) == (12.0, file.label)
    assert end.scores == pytest.approx(file.scores, abs=1e-5)
    assert [s.span for s in end.segments] == [s.span for s in file.segments]


def test_the_end_without_a_flush_loses_no_audio(recognizer: EmotionRecognizer) -> None:
    live = recognizer.live(rate=48_000)
    live.push(voice(2.0, rate=48_000))
    assert live.samples < 2 * SAMPLE_RATE
    assert live.finish().duration == 2.0


def test_a_flushed_session_takes_no_more(recognizer: EmotionRecognizer) -> None:
    live = recognizer.live(rate=44_100)
    live.push(voice(2.0, rate=44_100))
    assert [update.span.stop_s for update in live.flush()] == [2.0]
    assert live.flush() == []
    with pytest.raises(UsageError, match="finished"):
        live.push(voice(1.0, rate=44_100))
    assert live.finish().duration == 2.0


def test_silence_is_told_and_not_run(recognizer: EmotionRecognizer) -> None:
    live, ran = recognizer.live(), recognizer.runtime.engine.stats.segments
    told = [live.poll(moment).label for moment in feed(live, np.zeros(3 * SAMPLE_RATE, np.float32), 1600)]
    assert told == ["silence"] * 3
    assert live.finish().label == "silence"
    assert recognizer.runtime.engine.stats.segments == ran


def test_what_does_not_speak_is_silence_at_every_hop_and_keeping_it_is_heeded(recognizer: EmotionRecognizer) -> None:
    noise = (0.1 * np.random.default_rng(7).standard_normal(6 * SAMPLE_RATE)).astype(np.float32)
    for options, silent in (({}, True), ({"vad": "none"}, False), ({"keep_silence": True}, False)):
        live = recognizer.live(hop=0.5, **options)
        told = [live.poll(moment).label for moment in feed(live, noise, 3000)]
        assert len(told) == 12
        assert all((label == "silence") is silent for label in told)
        assert (live.finish().label == "silence") is silent


@pytest.mark.parametrize("size", [160, 1000, 48_000])
def test_its_windows_are_silent_where_those_of_a_file_are(recognizer: EmotionRecognizer, size: int) -> None:
    samples = call_samples()[: 20 * SAMPLE_RATE]
    live = recognizer.live(hop=0.5, window=0.5)
    told = {moment.span: live.poll(moment).label == "silence" for moment in feed(live, samples, size)}
    windows = recognizer(Audio(samples, SAMPLE_RATE), segment="window", window=0.5, hop=0.5).segments
    both = {segment.span: segment.label == "silence" for segment in windows if len(segment.span) == SAMPLE_RATE // 2}
    assert len(both) >= 38
    assert set(both.values()) == {True, False}
    assert {span: told[span] for span in both} == both


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


@pytest.mark.parametrize("rate", [16_000, 8_000])
@pytest.mark.parametrize("value", [np.nan, np.inf, 1e30])
def test_samples_that_are_no_audio_are_refused_and_not_taken(
    recognizer: EmotionRecognizer, rate: int, value: float
) -> None:
    live, alone = recognizer.live(rate=rate), recognizer.live(rate=rate)
    good, bad = voice(2.0, rate=rate), voice(1.0, rate=rate)
    bad[rate // 2] = value
    live.push(good)
    with pytest.raises(InputError, match=r"live: a sample is .* at 2\.500 s; replace NaN") as caught:
        live.push(bad)
    assert caught.value.code == "bad_samples"
    alone.push(good)
    for session in live, alone:
        session.push(good)
    assert live.finish().scores == alone.finish().scores


def test_several_channels_are_refused_with_the_remedy(recognizer: EmotionRecognizer) -> None:
    with pytest.raises(InputError, match=r"shape \(480, 1\); one channel is taken, .* such as samples\[:, 0\]"):
        recognizer.live(rate=48_000).push(np.zeros((480, 1), np.float32))


def test_too_little_and_what_it_cannot_be_asked_for(recognizer: EmotionRecognizer) -> None:
    live = recognizer.live()
    live.push(np.zeros(10, np.float32))
    with pytest.raises(InputError, match=r"live: 10 samples; at least 400 samples \(25 ms\) are needed"):
        live.finish()
    with pytest.raises(UsageError, match=r"every 0\.1 s"):
        recognizer.live(hop=0.05)
    with pytest.raises(UsageError, match="loaded for 30 s"):
        recognizer.live(window=40.0)
    with pytest.raises(InputError, match=r"live: a rate of 96000\.5 Hz"):
        recognizer.live(rate=96_000.5)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="settled"):
        recognizer.live(precision="int8")
