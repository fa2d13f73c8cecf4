from __future__ import annotations

import functools
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
    window_count,
)
from overtone.segmentation.silero_vad import SileroVad
from overtone.segmentation.voiced_frames import FRAME
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
    "pauses": lambda: PauseSegmenter(160_000, VAD.stream()),
    "pauses, silence kept": lambda: PauseSegmenter(160_000, VAD.stream(), keep_silence=True),
    "pauses, all cut": lambda: PauseSegmenter(160_000, VAD.stream(), cut_all=True),
    "pauses by level": lambda: PauseSegmenter(160_000, None),
    "windows": lambda: FixedWindowSegmenter(64_000, 64_000, VAD.stream()),
    "windows by level": lambda: FixedWindowSegmenter(64_000, 64_000),
    "overlapping windows": lambda: FixedWindowSegmenter(64_000, 16_000, VAD.stream()),
    "short windows": lambda: FixedWindowSegmenter(1_600, 800, VAD.stream()),
    "whole": lambda: WholeFileSegmenter(lambda samples: None, VAD.stream()),
}


@functools.cache
def cut_by_the_second(name: str) -> list[Segment]:
    """Some of the call, brought a second at a time: what every other way to bring it is compared with."""
    return cut(CUTTERS[name](), CALL[: 23 * 16_000])


@pytest.mark.parametrize("name", CUTTERS)
@settings(max_examples=5)
@given(sizes=st.lists(st.integers(100, 40_000), min_size=1, max_size=5))
def test_segments_do_not_depend_on_how_the_samples_arrive(name: str, sizes: list[int]) -> None:
    whole, parts = cut_by_the_second(name), push_all(CUTTERS[name](), CALL[: 23 * 16_000], itertools.cycle(sizes))
    assert [(s.index, s.span, s.silent, s.speech) for s in whole] == [
        (s.index, s.span, s.silent, s.speech) for s in parts
    ]
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
    (segment,) = cut(PauseSegmenter(160_000, VAD.stream()), speech(10.0))
    assert (segment.span.start, segment.span.stop) == (0, 160_000)


def test_longer_audio_is_cut_in_its_pauses_and_pauses_are_silence() -> None:
    samples = CALL
    segments = cut(PauseSegmenter(160_000, VAD.stream()), samples)
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
    segments = cut(PauseSegmenter(160_000, VAD.stream(), keep_silence=True), samples)
    assert not any(s.silent for s in segments)
    assert all(len(s.samples) <= 160_000 + 512 * 20 for s in segments)


def test_long_silence_is_one_silent_segment_without_samples() -> None:
    (segment,) = cut(PauseSegmenter(160_000, VAD.stream()), np.zeros(16_000 * 65, np.float32))
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


DETECTED = [name for name in CUTTERS if "by level" not in name]


@pytest.mark.parametrize("name", CUTTERS)
def test_speech_is_counted_within_every_segment_and_once_in_all(name: str) -> None:
    samples = speech(61.0)
    cutter = CUTTERS[name]()
    segments = cut(cutter, samples)
    assert all(0 <= s.speech <= len(s.span) for s in segments)
    assert all((s.speech == 0) == s.silent for s in segments if "kept" not in name)
    seconds = cutter.speech / 16_000
    if "by level" in name:
        assert seconds == sum(len(s.span) for s in segments if not s.silent) / 16_000
    else:
        assert 30 < seconds < 45, seconds  # of a call with pauses
    if "overlapping" not in name and "short" not in name:
        assert cutter.speech == sum(s.speech for s in segments)
    else:
        assert cutter.speech < sum(s.speech for s in segments)


def test_however_it_is_cut_there_is_the_same_speech() -> None:
    found = {}
    for name in DETECTED:
        cutter = CUTTERS[name]()
        cut(cutter, CALL)
        found[name] = cutter.speech / 16_000
    # A tenth of a second by itself may have too little of it.
    assert found.pop("short windows") > 0.85 * max(found.values())
    assert max(found.values()) - min(found.values()) < 0.03 * max(found.values()), found


def sounds() -> dict[str, np.ndarray]:
    """What sounds and does not speak, of 4 s, each 0.1 to 0.5 loud."""
    time = np.arange(64_000) / 16_000
    return {
        "noise": 0.1 * np.random.default_rng(5).standard_normal(64_000),
        "beeps": 0.3 * np.sin(2 * np.pi * 1000 * time) * ((2 * time) % 1 < 0.3),
        "tone": 0.3 * np.sin(2 * np.pi * 440 * time),
        "offset": np.full(64_000, 0.5),
    }


@pytest.mark.parametrize("name", DETECTED)
@pytest.mark.parametrize("seconds", [4, 40])
@pytest.mark.parametrize("sound", sounds())
def test_what_does_not_speak_is_silence_however_long_it_is_and_however_it_is_cut(
    name: str, seconds: int, sound: str
) -> None:
    cutter = CUTTERS[name]()
    segments = cut(cutter, np.tile(sounds()[sound], seconds // 4).astype(np.float32))
    assert cutter.speech == 0
    assert all(s.silent and not len(s.samples) for s in segments) is ("kept" not in name)


@pytest.mark.parametrize("name", [name for name in CUTTERS if "by level" in name])
def test_by_level_a_constant_is_silence_and_noise_is_not(name: str) -> None:
    assert all(s.silent for s in cut(CUTTERS[name](), sounds()["offset"].astype(np.float32)))
    assert not any(s.silent for s in cut(CUTTERS[name](), sounds()["noise"].astype(np.float32)))


def test_a_short_shout_between_silences_is_speech() -> None:
    shout = decoded(EXAMPLES / "angry.wav")[8_000:12_800]  # 0.3 s
    samples = np.concatenate([np.zeros(24_000), shout, np.zeros(24_000)]).astype(np.float32)
    (segment,) = cut(PauseSegmenter(160_000, VAD.stream()), samples)
    assert not segment.silent
    assert 1_600 <= segment.speech <= 4_800 + 2 * FRAME


def test_all_cut_short_audio_begins_and_ends_with_its_speech() -> None:
    said = decoded(EXAMPLES / "angry.wav")
    samples = np.concatenate([np.zeros(48_000), said, np.zeros(48_000)]).astype(np.float32)
    before, spoken, after = cut(PauseSegmenter(480_000, VAD.stream(), cut_all=True), samples)
    assert before.silent
    assert after.silent
    assert 48_000 - 4 * FRAME <= spoken.span.start <= 48_000 + 16 * FRAME
    assert spoken.span.stop <= 48_000 + len(said) + 4 * FRAME


def test_by_level_long_audio_is_cut_where_it_is_quietest() -> None:
    time = np.arange(20 * 16_000) / 16_000
    tone = (0.3 * np.sin(2 * np.pi * 300 * time)).astype(np.float32)
    tone[8 * 16_000 : 8 * 16_000 + 8_000] *= 0.05
    first, second, *_ = cut(PauseSegmenter(160_000, None), tone)
    assert 8.0 <= first.span.stop_s <= 8.5
    assert not first.silent
    assert not second.silent
