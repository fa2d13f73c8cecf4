"""Turns and sentences' speakers against FunASR's functions, on anything."""

from __future__ import annotations

import time
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from overtone.merging.speakers.clustering import renumbered
from overtone.merging.speakers.diarization import Turn, diarize, seconds, speakers_of, turns
from overtone.models.campplus.task import windows


@st.composite
def heard(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Times and labels of windows, as segments of speech with pauses between them give them."""
    start_ms, times = draw(st.integers(0, 5000)), []
    for _ in range(draw(st.integers(1, 6))):
        length_ms = draw(st.integers(1, 9000))
        times.append(seconds(start_ms * 16, windows(length_ms * 16)))
        start_ms += length_ms + draw(st.sampled_from([0, 0, 10, 400, 2000]))
    joined = np.concatenate(times)
    labels = draw(st.lists(st.integers(0, draw(st.integers(0, 4))), min_size=len(joined), max_size=len(joined)))
    return joined, np.array(labels)


@settings(max_examples=300)
@given(heard())
def test_turns_are_those_of_funasr(given: tuple[np.ndarray, np.ndarray]) -> None:
    utils = pytest.importorskip("funasr.models.campplus.utils", reason="funasr, the oracle, is not installed")
    times, labels = given
    segments = [[start, stop, None] for start, stop in times.tolist()]
    wanted = utils.postprocess(segments, None, labels, np.zeros((len(labels), 2)))
    got = turns(times, labels)
    assert [(turn.start, turn.end, turn.speaker) for turn in got] == [tuple(turn) for turn in wanted]


@settings(max_examples=200)
@given(heard())
def test_turns_partition_what_was_said(given: tuple[np.ndarray, np.ndarray]) -> None:
    times, labels = given
    got = turns(times, labels)
    rounding_s = 0.0051
    for before, after in pairwise(got):
        # Each is rounded to 10 ms by itself, as by FunASR: what meets between two steps may end after the next begins.
        assert before.start <= before.end <= after.start + 0.01 + 1e-4
        # Joined as far as can be.
        assert before.speaker != after.speaker or after.start > before.end
    assert abs(got[0].start - times[0, 0]) < rounding_s
    assert abs(got[-1].end - times[-1, 1]) < rounding_s
    for start, stop in times:
        middle = (start + stop) / 2
        assert any(turn.start - rounding_s <= middle <= turn.end + rounding_s for turn in got)
    assert {turn.speaker for turn in got} <= set(range(len(set(labels.tolist()))))


@settings(max_examples=300)
@given(heard(), st.lists(st.tuples(st.integers(0, 40_000), st.integers(0, 9000)), max_size=12))
def test_speakers_of_sentences_are_those_of_funasr(
    given: tuple[np.ndarray, np.ndarray], drawn: list[tuple[int, int]]
) -> None:
    utils = pytest.importorskip("funasr.models.campplus.utils", reason="funasr, the oracle, is not installed")
    found = turns(*given)
    sentences = [(start, start + length) for start, length in drawn]
    wanted = utils.distribute_spk(
        [{"start": start, "end": end} for start, end in sentences],
        [[turn.start, turn.end, turn.speaker] for turn in found],
    )
    assert speakers_of(sentences, found) == [one["spk"] for one in wanted]


@given(st.lists(st.integers(-3, 9)))
def test_labels_count_up_from_the_first(labels: list[int]) -> None:
    got = renumbered(labels).tolist()
    seen: list[int] = []
    for was, now in zip(labels, got, strict=True):
        if was not in seen:
            seen.append(was)
        assert now == seen.index(was)


def test_a_short_turn_goes_to_the_nearer_neighbour() -> None:
    times = np.array([[0.0, 3.0], [3.1, 3.5], [4.0, 7.0]])
    assert turns(times, [0, 1, 2]) == [Turn(0.0, 3.0, 0), Turn(3.1, 3.5, 0), Turn(4.0, 7.0, 2)]
    assert turns(times[:2], [1, 0]) == [Turn(0.0, 3.0, 0), Turn(3.1, 3.5, 0)]
    assert turns(times[1:2], [5]) == [Turn(3.1, 3.5, 0)]


def test_nothing_was_said() -> None:
    assert diarize(np.zeros((0, 8), np.float32), np.zeros((0, 2))) == []
    assert speakers_of([(0, 1000)], []) == [0]


def test_who_leads_is_not_soon_overtaken() -> None:
    given = [Turn(0, 1, 0), Turn(1, 2.9, 1), Turn(3, 5.1, 1)]
    assert speakers_of([(0, 3000), (0, 6000), (900, 6000), (10_000, 11_000)], given) == [0, 1, 1, 0]


def test_ten_hours_take_seconds() -> None:
    random = np.random.default_rng(0)
    times = seconds(0, windows(36_000 * 16_000))
    begun = time.process_time()
    found = turns(times, np.repeat(random.integers(0, 9, len(times) // 4 + 1), 4)[: len(times)])
    starts = np.sort(random.integers(0, 36_000_000, 10_000))
    speakers = speakers_of([(int(start), int(start) + 3000) for start in starts], found)
    assert len(speakers) == 10_000
    assert time.process_time() - begun < 10  # what is seen is 1 s
