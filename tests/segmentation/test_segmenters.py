from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.clips import EXAMPLES, decoded
from overtone.segmentation.segmenters import (
    FixedWindowSegmenter,
    PauseSegmenter,
    Segmenter,
    WholeFileSegmenter,
    is_silent,
    window_count,
)
from overtone.segmentation.silero_vad import SileroVad
from overtone.types import Segment

VAD = SileroVad()


def push_all(cutter: Segmenter, samples: np.ndarray, sizes: Iterator[int]) -> list[Segment]:
    segments, at = [], 0
    while at < len(samples):
        size = next(sizes)
        segments += cutter.push(samples[at : at + size])
        at += size
    return segments + list(cutter.finish())


def cut(cutter: Segmenter, samples: np.ndarray, size: int = 16_000) -> list[Segment]:
    return push_all(cutter, samples, iter(lambda: size, None))


CALL = decoded(EXAMPLES / "call.mp3")


def speech(seconds: float) -> np.ndarray:
    """Real speech with real pauses."""
    samples = round(seconds * 16_000)
    return np.tile(CALL, samples // len(CALL) + 1)[:samples]


CUTTERS: dict[str, Callable[[], Segmenter]] = {
    "pauses": lambda: PauseSegmenter(160_000, VAD),
    "pauses, silence kept": lambda: PauseSegmenter(160_000, VAD, keep_silence=True),
    "windows": lambda: FixedWindowSegmenter(64_000, 64_000),
    "overlapping windows": lambda: FixedWindowSegmenter(64_000, 16_000),
    "whole": lambda: WholeFileSegmenter(lambda samples: None),
}


@pytest.mark.parametrize("name", CUTTERS)
@settings(max_examples=8)
@given(sizes=st.lists(st.integers(100, 40_000), min_size=1, max_size=5))
def test_segments_do_not_depend_on_how_the_samples_arrive(name: str, sizes: list[int]) -> None:
    samples = CALL[: 23 * 16_000]
    whole, parts = cut(CUTTERS[name](), samples), push_all(CUTTERS[name](), samples, itertools.cycle(sizes))
    assert [(s.index, s.span, s.silent) for s in whole] == [(s.index, s.span, s.silent) for s in parts]
    for a, b in zip(whole, parts, strict=True):
        np.testing.assert_array_equal(a.samples, b.samples)


@pytest.mark.parametrize("name", CUTTERS)
@pytest.mark.parametrize("seconds", [0.03, 1.0, 9.99, 10.0, 10.01, 17.3, 61.0])
def test_segments_hold_the_samples_of_their_spans_and_cover_the_audio(name: str, seconds: float) -> None:
    samples = speech(seconds)
    segments = cut(CUTTERS[name](), samples)
    assert [s.index for s in segments] == list(range(len(segments)))
    assert segments[0].span.start == 0
    assert segments[-1].span.stop == len(samples)
    for before, after in itertools.pairwise(segments):
        assert after.span.start <= before.span.stop
    for segment in segments:
        if not segment.silent:
            np.testing.assert_array_equal(segment.samples, samples[segment.span.start : segment.span.stop])


def test_audio_up_to_the_longest_segment_is_not_cut() -> None:
    (segment,) = cut(PauseSegmenter(160_000, VAD), speech(10.0))
    assert (segment.span.start, segment.span.stop) == (0, 160_000)


def test_longer_audio_is_cut_in_its_pauses_and_pauses_are_silence() -> None:
    samples = CALL
    segments = cut(PauseSegmenter(160_000, VAD), samples)
    assert all(len(s.span) <= 160_000 for s in segments if not s.silent)
    speech_level = np.abs(samples).max()
    silent = [s for s in segments if s.silent]
    assert len(silent) >= 6
    for segment in silent:
        inner = samples[segment.span.start + 3200 : segment.span.stop - 3200]
        assert np.sqrt(np.square(inner).mean()) < 0.05 * speech_level
    # No cut falls into a word: at every edge of a speech segment it is quiet.
    for segment in segments:
        if not segment.silent and segment.span.stop < len(samples):
            around = samples[segment.span.stop - 400 : segment.span.stop + 400]
            assert np.sqrt(np.square(around).mean()) < 0.1 * speech_level


def test_silence_kept_is_judged_in_bounded_pieces() -> None:
    samples = np.zeros(16_000 * 65, np.float32)
    segments = cut(PauseSegmenter(160_000, VAD, keep_silence=True), samples)
    assert not any(s.silent for s in segments)
    assert all(len(s.samples) <= 160_000 + 512 * 20 for s in segments)


def test_long_silence_is_one_silent_segment_without_samples() -> None:
    (segment,) = cut(PauseSegmenter(160_000, VAD), np.zeros(16_000 * 65, np.float32))
    assert segment.silent
    assert len(segment.samples) == 0


def test_windows_lie_on_their_grid_and_a_short_tail_is_joined() -> None:
    spans = [(s.span.start, s.span.stop) for s in cut(FixedWindowSegmenter(64_000, 64_000), speech(8.2))]
    assert spans == [(0, 64_000), (64_000, 131_200)]
    spans = [(s.span.start, s.span.stop) for s in cut(FixedWindowSegmenter(64_000, 64_000), speech(8.6))]
    assert spans == [(0, 64_000), (64_000, 128_000), (128_000, 137_600)]


@given(st.integers(1, 200_000), st.integers(1600, 64_000), st.integers(320, 64_000))
def test_windows_are_counted_as_they_are_cut(samples: int, window: int, hop: int) -> None:
    hop = min(hop, window)
    assert window_count(samples, window, hop) == len(
        cut(FixedWindowSegmenter(window, hop), np.zeros(samples, np.float32))
    )


def test_a_whole_file_is_refused_as_soon_as_it_is_too_long() -> None:
    class FullError(Exception):
        pass

    def admit(samples: int) -> None:
        if samples > 100_000:
            raise FullError

    cutter = WholeFileSegmenter(admit)
    list(cutter.push(np.zeros(90_000, np.float32)))
    with pytest.raises(FullError):
        list(cutter.push(np.zeros(20_000, np.float32)))


@pytest.mark.parametrize(("peak", "silent"), [(0.0, True), (0.0009, True), (0.01, False), (0.5, False)])
def test_silence_is_a_level_never_reached(peak: float, silent: bool) -> None:
    samples = np.zeros(16_000, np.float32)
    samples[8000:8400] = peak
    assert is_silent(samples) is silent
    assert is_silent(samples[8000:8100]) is silent
