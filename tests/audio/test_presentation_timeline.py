"""Timestamps and lengths of frames in, silence and audio left out; a policy without audio."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from overtone.audio.presentation_timeline import (
    JITTER_S,
    MAX_HOLE_S,
    MAX_OVERLAP_S,
    MAX_SILENCE_S,
    Placement,
    PresentationTimeline,
)

RATE = 48_000
FRAME = 960  # 20 ms
PLAIN = Placement()

lengths = st.lists(st.integers(120, 6_000), min_size=2, max_size=40)


def place(
    times: Sequence[float | None], samples: Sequence[int], *, start_s: float | None = 0.0, restarts: bool = False
) -> tuple[list[Placement], PresentationTimeline]:
    timeline = PresentationTimeline(start_s, restarts=restarts)
    placements: list[Placement] = []
    for time_s, count in zip(times, samples, strict=True):
        placements += timeline.push(time_s, count, RATE)
    placements += timeline.finish()
    assert len(placements) == len(samples)
    return placements, timeline


def contiguous(samples: Sequence[int], first_s: float = 0.0) -> list[float]:
    """Timestamps of frames without a hole."""
    return [first_s + sum(samples[:number]) / RATE for number in range(len(samples))]


def begins(placements: Sequence[Placement], samples: Sequence[int]) -> list[float]:
    """Seconds at which each frame's first sample would be heard, by adding up all that came before."""
    at, heard = [], 0
    for placement, count in zip(placements, samples, strict=True):
        heard += placement.silence
        at.append((heard - placement.skip) / RATE)
        heard += count - placement.skip
    return at


def heard_s(placements: Sequence[Placement], samples: Sequence[int]) -> float:
    return sum(p.silence + count - p.skip for p, count in zip(placements, samples, strict=True)) / RATE


@given(samples=lengths, data=st.data())
def test_jitter_below_the_tolerance_changes_nothing(samples: list[int], data: st.DataObject) -> None:
    times = []
    for time_s, count in zip(contiguous(samples), samples, strict=True):
        late = min(max(count / RATE / 2, 0.005), JITTER_S) * 0.99
        times.append(time_s + data.draw(st.floats(-JITTER_S * 0.99, late)) if times else 0.0)
    placements, timeline = place(times, samples)
    assert set(placements) == {PLAIN}
    assert timeline.warnings() == []


@given(samples=lengths, holes=st.data(), start_s=st.floats(0.05, 100))
def test_a_hole_is_filled_and_what_follows_is_in_its_time(
    samples: list[int], holes: st.DataObject, start_s: float
) -> None:
    samples = [*samples, FRAME, FRAME]  # so that the last hole is confirmed
    late, times = start_s, []
    for time_s in contiguous(samples):
        if times and len(times) < len(samples) - 1:
            late += holes.draw(st.sampled_from([0.0, 0.0, 0.07, 0.5, 5.0, 60.0]))
        times.append(time_s + late)
    placements, timeline = place(times, samples, start_s=start_s)
    assert begins(placements, samples) == pytest.approx(times, abs=len(samples) / RATE)
    assert heard_s(placements, samples) == pytest.approx(times[-1] + samples[-1] / RATE, abs=len(samples) / RATE)
    assert timeline.end_s == pytest.approx(heard_s(placements, samples))
    assert "without audio" in timeline.warnings()[0]


@given(
    frames=st.lists(
        st.tuples(st.none() | st.floats(-1e9, 1e9) | st.floats(-20, 20) | st.floats(0, 5_000), st.integers(1, 200_000)),
        min_size=1,
        max_size=60,
    ),
    start_s=st.none() | st.floats(-10, 1e6),
    restarts=st.booleans(),
)
@settings(max_examples=300)
def test_whatever_timestamps_say_silence_is_bounded_and_no_frame_is_lost(
    frames: list[tuple[float | None, int]], start_s: float | None, restarts: bool
) -> None:
    times, samples = [time_s for time_s, _ in frames], [count for _, count in frames]
    placements, timeline = place(times, samples, start_s=start_s, restarts=restarts)
    for placement, count in zip(placements, samples, strict=True):
        assert 0 <= placement.silence <= MAX_HOLE_S * RATE + 1
        assert 0 <= placement.skip <= count
    assert sum(p.silence for p in placements) <= MAX_SILENCE_S * RATE + len(frames)
    assert timeline.end_s == pytest.approx(heard_s(placements, samples), abs=1e-3)
    assert len(timeline.warnings()) <= 6


@pytest.mark.parametrize("wrong_s", [0.05, 5.0, 3_000.0, 50_000.0, -0.5, -3.0, -50_000.0])
@pytest.mark.parametrize("at", [1, 7, 19])
def test_one_timestamp_that_is_wrong_alone_changes_nothing(wrong_s: float, at: int) -> None:
    samples = [FRAME] * 20
    times = contiguous(samples)
    times[at] += wrong_s
    placements, _ = place(times, samples)
    if at == 19 and 0 < wrong_s <= 10:  # nothing after it speaks against it
        assert placements.pop().silence == round(wrong_s * RATE)
    assert set(placements) == {PLAIN}


@pytest.mark.parametrize("back_s", [0.05, 0.5, 3.0, 9.9])
def test_audio_whose_time_has_passed_is_left_out_and_later_audio_does_not_shift(back_s: float) -> None:
    samples = [FRAME] * 1_200
    times = contiguous(samples[:500]) + contiguous(samples[500:], 10.0 - back_s)
    placements, timeline = place(times, samples)
    assert sum(p.skip for p in placements) == round(back_s * RATE)
    assert begins(placements, samples)[-1] == pytest.approx(times[-1], abs=1e-4)
    assert set(placements[:500]) == {PLAIN}
    (warning,) = timeline.warnings()
    assert "were left out, as their time had passed" in warning
    assert "at 10.0 s" in warning


def test_packets_closer_than_their_audio_are_heard_in_their_time() -> None:
    samples = [FRAME] * 400
    times = [number * 0.019 for number in range(400)]  # 20 ms each
    placements, _ = place(times, samples)
    assert heard_s(placements, samples) == pytest.approx(400 * 0.019, abs=JITTER_S + 0.02)


@pytest.mark.parametrize("jump_s", [MAX_HOLE_S + 1, -MAX_OVERLAP_S - 1])
def test_a_clock_that_is_set_anew_is_joined_without_a_pause(jump_s: float) -> None:
    samples = [FRAME] * 2_000
    times = contiguous(samples[:1_000]) + contiguous(samples[1_000:], 20.0 + jump_s)
    placements, timeline = place(times, samples)
    assert set(placements) == {PLAIN}
    (warning,) = timeline.warnings()
    assert "joined without a pause" in warning
    assert "at 20.0 s" in warning


def test_joined_streams_step_back_without_an_overlap() -> None:
    samples = [FRAME] * 300
    times = contiguous(samples[:150]) + contiguous(samples[150:])
    placements, timeline = place(times, samples, restarts=True)
    assert set(placements) == {PLAIN}
    assert "go back by 3.0 s at 3.0 s" in timeline.warnings()[0]


def test_a_clock_that_goes_back_to_its_start_is_a_file_that_was_joined() -> None:
    parts = [contiguous([FRAME] * count) for count in (150, 400, 100)]
    times = [time_s for part in parts for time_s in part]
    placements, timeline = place(times, [FRAME] * len(times))
    assert set(placements) == {PLAIN}
    assert len(timeline.warnings()) == 2


def test_a_hole_after_a_clock_was_set_anew_is_filled() -> None:
    samples = [FRAME] * 300
    times = contiguous(samples[:100]) + contiguous(samples[:100], 90_000.0) + contiguous(samples[:100], 90_002.0 + 1.5)
    placements, timeline = place(times, samples)
    assert [number for number, p in enumerate(placements) if p != PLAIN] == [200]
    assert placements[200].silence == pytest.approx(1.5 * RATE, abs=2)
    assert len(timeline.warnings()) == 2


def test_silence_of_a_file_is_bounded_however_many_holes_it_has() -> None:
    times, samples = [], []
    for hole in range(200):
        times += contiguous([FRAME] * 3, hole * 3_000.0)
        samples += [FRAME] * 3
    placements, timeline = place(times, samples)
    silence_s = sum(p.silence for p in placements) / RATE
    assert MAX_SILENCE_S - 3_000 <= silence_s <= MAX_SILENCE_S
    texts = timeline.warnings()
    assert "in 28 places" in texts[0]
    assert texts[-1] == f"the timestamps leap {199 - 28 - 3} more times"


def test_frames_without_a_timestamp_follow_each_other() -> None:
    samples = [FRAME] * 50
    assert set(place([None] * 50, samples)[0]) == {PLAIN}
    first_of_each_packet = [time_s if number % 4 == 0 else None for number, time_s in enumerate(contiguous(samples))]
    assert set(place(first_of_each_packet, samples)[0]) == {PLAIN}
    late = [None if time_s is None else time_s + 30 for time_s in first_of_each_packet]
    placements, _ = place(late, samples, start_s=30.0)
    assert placements[0].silence == 30 * RATE
    assert set(placements[1:]) == {PLAIN}


@pytest.mark.parametrize(
    ("start_s", "first_s", "silence"),
    [
        (0.0, 0.0, 0),
        (0.0, 0.046, 0),  # the decoder kept the first packets to itself
        (0.0, -0.021, 0),
        (None, 77.0, 0),  # no container says where it starts
        (4.0, 4.046, 4 * RATE),
        (0.0, 0.5, RATE // 2),  # the first packets are lost
        (-0.5, -0.5, 0),
        (2.0 * MAX_HOLE_S, 2.0 * MAX_HOLE_S, 0),
    ],
)
def test_a_track_begins_where_its_container_says(start_s: float | None, first_s: float, silence: int) -> None:
    samples = [FRAME] * 30
    placements, _ = place(contiguous(samples, first_s), samples, start_s=start_s)
    assert placements[0] == Placement(silence)
    assert set(placements[1:]) == {PLAIN}


def test_a_packet_that_was_lost_is_silence_of_its_length() -> None:
    samples = [FRAME] * 30
    times = contiguous(samples)
    del times[10]
    placements, timeline = place(times, samples[1:])
    assert placements[10] == Placement(FRAME)
    assert timeline.warnings() == ["0.020 s without audio at 0.2 s were filled with silence"]
