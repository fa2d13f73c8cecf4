"""Where speech starts and ends, beside FunASR's own detector fed with the same probabilities."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.oracles.fsmn_vad import funasr_spans
from overtone.models.features.fbank import frames_of
from overtone.models.fsmn_vad.options import VadOptions
from overtone.segmentation.fsmn.endpoint_detector import EndpointDetector

pytest.importorskip("funasr", reason="funasr, the oracle, is not installed")

OPTIONS: dict[str, dict[str, Any]] = {
    "as published": {},
    "fixed silence": {"max_end_silence_time": 800},
    "impatient": {"max_end_silence_time": 100},
    "short segments": {"max_single_segment_time": 3000},
    "odd times": {
        "max_end_silence_time": 505,
        "lookahead_time_end_point": 35,
        "lookback_time_start_point": 45,
        "max_single_segment_time": 4005,
    },
    "other windows": {"window_size_ms": 300, "sil_to_speech_time_thres": 200, "speech_to_sil_time_thres": 50},
    "no extension": {"do_extend": 0, "max_end_silence_time": 400},
    "no extension, impatient": {"do_extend": 0, "max_end_silence_time": 150, "sil_to_speech_time_thres": 20},
    "one utterance": {"detect_mode": 0},
    "one utterance, soon": {"detect_mode": 0, "max_start_silence_time": 500},
    "by level": {"decibel_thres": -10.0, "snr_thres": 6.0, "noise_frame_num_used_for_snr": 20},
    "unequal": {"speech_2_noise_ratio": 2.0, "speech_noise_thres": 0.3, "max_end_silence_time": 600},
    "no speech at all": {"fe_prior_thres": 1.0},
    "small chunks": {"chunk_size": 15_000},
    "a schedule": {"chunk_size": 15_000, "silence_schedule": ((10_000, 1500), (40_000, 300))},
    "not dynamic": {"dynamic_silence": False},
}


def stream(seed: int, seconds: float) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities of silence that alternate as in speech, and samples whose level does."""
    random = np.random.default_rng(seed)
    samples = int(seconds * 16_000)
    frames = frames_of(samples)
    mean_frames = random.choice([5, 20, 100, 400], size=2)
    speech = np.zeros(frames, bool)
    at, on = 0, bool(random.integers(2))
    while at < frames:
        run = 1 + int(random.exponential(mean_frames[int(on)]))
        speech[at : at + run] = on
        at, on = at + run, not on
    silence = np.where(speech, 0.1, 0.9) + random.uniform(-0.08, 0.08, frames)
    ragged = random.random(frames) < 0.1
    silence[ragged] = random.uniform(0.01, 0.99, ragged.sum())
    level = np.repeat(np.where(speech, 0.1, 0.01), 160)
    wave = random.standard_normal(samples) * np.pad(level, (0, samples))[:samples]
    return silence.astype(np.float32), wave.astype(np.float32)


def levels(samples: np.ndarray) -> np.ndarray:
    """Decibels of every frame."""
    frames = np.lib.stride_tricks.sliding_window_view(samples, 400)[::160]
    decibels: np.ndarray = (10 * np.log10(np.square(frames).sum(axis=1) + 1e-6)).astype(np.float32)
    return decibels


def ours(
    silence: np.ndarray, samples: np.ndarray, size: int, *, events: bool = False, **options: Any
) -> list[tuple[int, int]]:
    """The detector's spans, fed with so many frames at a time."""
    detector = EndpointDetector(VadOptions.from_config({}, "test", **options), events=events)
    decibels = levels(samples)
    found = []
    last = (len(silence) - 1) // size * size
    for start in range(0, last, size):
        found += detector.push(silence[start : start + size], decibels[start : start + size])
    return found + detector.finish(silence[last:], decibels[last:], len(samples))


@pytest.mark.parametrize("name", OPTIONS)
@settings(max_examples=6, derandomize=True)
@given(seed=st.integers(0, 10_000), seconds=st.floats(0.03, 40), size=st.integers(1, 700))
def test_segments_are_those_of_funasr(name: str, seed: int, seconds: float, size: int) -> None:
    silence, samples = stream(seed, seconds)
    [theirs] = funasr_spans(silence, samples, [], **OPTIONS[name])
    assert ours(silence, samples, size, **OPTIONS[name]) == [tuple(span) for span in theirs]


@pytest.mark.parametrize("beyond", [-401, -161, -160, -1, 0, 1, 79, 80, 159, 160, 239, 240, 399, 400, 3000])
def test_a_chunk_begins_with_a_sample_and_not_with_a_frame(beyond: int) -> None:
    """In the third chunk the silence at the end is enough; whether there is one is not seen by the frames alone."""
    samples = np.zeros(2 * 16_000 + beyond, np.float32)
    silence = np.full(frames_of(len(samples)), 0.05, np.float32)
    silence[150:] = 0.95
    options: dict[str, Any] = {"chunk_size": 1000, "silence_schedule": ((1000, 5000), (9000, 160))}
    [theirs] = funasr_spans(silence, samples, [], is_streaming_input=False, **options)
    assert theirs == [[0, 1970 if beyond >= 0 else len(silence) * 10]]
    assert ours(silence, samples, 333, **options) == [tuple(span) for span in theirs]


@pytest.mark.slow
@settings(max_examples=10, derandomize=True)
@given(seed=st.integers(0, 10_000), seconds=st.floats(55, 300), size=st.integers(50, 7000))
def test_long_streams_are_those_of_funasr(seed: int, seconds: float, size: int) -> None:
    silence, samples = stream(seed, seconds)
    [theirs] = funasr_spans(silence, samples, [])
    assert ours(silence, samples, size) == [tuple(span) for span in theirs]


@settings(max_examples=20, derandomize=True)
@given(
    seed=st.integers(0, 10_000),
    seconds=st.floats(0.03, 30),
    calls=st.lists(st.integers(0, 60_000), max_size=6),
    chunk_ms=st.sampled_from([5, 60, 200, 1000, 4000]),
    options=st.sampled_from(["as published", "fixed silence", "one utterance", "short segments"]),
)
def test_events_are_those_of_funasr(seed: int, seconds: float, calls: list[int], chunk_ms: int, options: str) -> None:
    silence, samples = stream(seed, seconds)
    kwargs = OPTIONS[options]
    while sum(calls) >= len(samples):
        calls = calls[:-1]  # FunASR does not end a stream whose last call brings nothing
    theirs = funasr_spans(silence, samples, calls, chunk_size=chunk_ms, is_streaming_input=True, **kwargs)
    mine = ours(silence, samples, 123, events=True, chunk_size=chunk_ms, **kwargs)
    assert mine == [tuple(span) for call in theirs for span in call]


def test_an_event_is_told_with_the_frame_after_its_chunk() -> None:
    detector = EndpointDetector(VadOptions(chunk_size=200), events=True)
    silence, decibels = np.full(100, 0.01, np.float32), np.zeros(100, np.float32)
    told = [detector.push(silence[i : i + 1], decibels[i : i + 1]) for i in range(100)]
    # 200 ms are 18 frames, of which two are heard with the next chunk; speech is known with the 15th frame.
    assert [i for i, events in enumerate(told) if events] == [16]
    assert told[16] == [(0, -1)]


@given(seed=st.integers(0, 10_000), sizes=st.lists(st.integers(1, 900), min_size=1, max_size=40))
@settings(max_examples=30)
def test_what_is_settled_stays(seed: int, sizes: list[int]) -> None:
    silence, samples = stream(seed, 70)
    decibels = levels(samples)
    detector = EndpointDetector(VadOptions(max_single_segment_time=8000))
    spans: list[tuple[int, int]] = []
    claims = [(0, None)]
    at = 0
    for size in sizes:
        if at + size >= len(silence):
            break
        spans += detector.push(silence[at : at + size], decibels[at : at + size])
        at += size
        claims.append((detector.settled_ms, detector.start_ms))
        assert detector.settled_ms <= at * 10 + 10
    spans += detector.finish(silence[at:], decibels[at:], len(samples))
    assert claims == sorted(claims, key=lambda claim: claim[0])
    for settled, open_ms in claims:
        for start, end in spans:
            assert start >= settled or end <= settled or (start == open_ms and end >= settled)
    assert all(0 <= start < end <= start + 8010 for start, end in spans)
    assert all(before[1] <= after[0] for before, after in pairwise(spans))


def test_certainty_that_funasr_cannot_take_is_no_obstacle() -> None:
    """FunASR takes the logarithms of the probability and of what is left of 1."""
    silence = np.tile(np.repeat([0.0, 1.0], 300), 3).astype(np.float32)
    spans = ours(silence, np.zeros(len(silence) * 160 + 240, np.float32), 100)
    assert spans == [(0, 3160), (5740, 9160), (11740, 15160)]


def test_an_empty_stream_has_no_speech() -> None:
    nothing = np.zeros(0, np.float32)
    for events in (False, True):
        assert EndpointDetector(VadOptions(), events=events).finish(nothing, nothing, 399) == []
