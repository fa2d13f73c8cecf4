"""Where sentences begin: pauses and changes of voice, over tables and random words."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from overtone.merging.sentence_breaks import MIN_TURN_MS, breaks_at_pauses, breaks_at_turns, ranges_of
from overtone.merging.speakers.diarization import Turn
from overtone.merging.speakers.word_speakers import only_speakers, speakers_of_sentences, speakers_of_words
from overtone.merging.words import RecognizedSegment, WordTable
from overtone.types import Span, TokenOutput

MS = 16


class Texts:
    """A vocabulary in which each token is a word."""

    def __init__(self, *words: str) -> None:
        self._words = words

    def text(self, tokens: Sequence[int]) -> str:
        return " ".join(self._words[token] for token in tokens)

    def words(self, tokens: Sequence[int]) -> list[tuple[str, int, int]]:
        return [(self._words[token], place, place) for place, token in enumerate(tokens)]


def table_of(*segments: tuple[int, int, Sequence[tuple[str, int, int]] | str]) -> WordTable:
    """Segments from one millisecond to another, with words that have their times in the source, or are only text."""
    texts: list[str] = []
    recognized = []
    for start, end, said in segments:
        spoken = said.split() if isinstance(said, str) else [word for word, _, _ in said]
        times = None
        if not isinstance(said, str):
            times = np.array([(first - start, last - start) for _, first, last in said], np.int32).reshape(-1, 2)
        tokens = np.arange(len(texts), len(texts) + len(spoken), dtype=np.int32)
        texts += spoken
        answer = TokenOutput(tokens, times, np.ones(len(spoken), np.float32))
        recognized.append(RecognizedSegment(Span(start * MS, end * MS), answer))
    return WordTable(recognized, Texts(*texts))


def one_after_another(*words: tuple[str, int, int]) -> WordTable:
    return table_of((0, words[-1][2] if words else 0, words))


@pytest.mark.parametrize(
    ("table", "starts"),
    [
        pytest.param(one_after_another(("a", 0, 300), ("b", 1100, 1200)), [1], id="just long enough"),
        pytest.param(one_after_another(("a", 0, 300), ("b", 1099, 1200)), [], id="too short"),
        pytest.param(one_after_another(("a", 0, 300), ("。", 1100, 1200), ("b", 1200, 1300)), [2], id="a mark stays"),
        pytest.param(one_after_another(("a", 0, 2000), ("b", 100, 200), ("c", 2100, 2200)), [], id="long word before"),
        pytest.param(table_of((0, 1000, [("a", 0, 950)]), (1800, 2000, [("b", 1790, 1900)])), [1], id="pause of VAD"),
        pytest.param(table_of((0, 1000, "a b"), (1700, 2000, "c")), [], id="no times"),
        pytest.param(table_of((0, 1000, "a b"), (1800, 2000, "c d")), [2], id="no times, long pause"),
        pytest.param(table_of((0, 900, "a"), (900, 1800, "。"), (1800, 2000, "b")), [2], id="only a mark between"),
        pytest.param(table_of(), [], id="no words"),
    ],
)
def test_a_long_pause_ends_a_sentence(table: WordTable, starts: list[int]) -> None:
    assert np.flatnonzero(breaks_at_pauses(table, 800)).tolist() == starts


def spoken(speakers: str, ms: int = 100) -> tuple[WordTable, np.ndarray]:
    """A word for each letter, which names its speaker, one directly after another."""
    words = [(letter, place * ms, place * ms + ms) for place, letter in enumerate(speakers)]
    return one_after_another(*words), np.array([ord(letter) - ord("a") for letter in speakers], np.int32)


@pytest.mark.parametrize(
    ("speakers", "breaks", "sentences"),
    [
        ("aaaaaaaabbbbbbbb", (), ["aaaaaaaa", "bbbbbbbb"]),
        ("aaaaaaaabaaaaaaa", (), ["aaaaaaaabaaaaaaa"]),
        ("aaaaaaaabccccccc", (), ["aaaaaaaab", "ccccccc"]),
        ("aabbbbbbbb", (), ["aabbbbbbbb"]),
        ("aaaaaaaabb", (8,), ["aaaaaaaa", "bb"]),
        ("aaaaaaaaaabbbbbbbb", (8,), ["aaaaaaaa", "aabbbbbbbb"]),
        ("aaaaaaabbbbbbbaaaaaaa", (), ["aaaaaaa", "bbbbbbb", "aaaaaaa"]),
        ("aaaaaaabbbbbbaaaaaaa", (), ["aaaaaaabbbbbbaaaaaaa"]),
        ("ababab", (), ["ababab"]),
        ("", (), []),
    ],
)
def test_another_voice_ends_a_sentence_if_it_speaks_for_long(
    speakers: str, breaks: tuple[int, ...], sentences: list[str]
) -> None:
    table, numbers = spoken(speakers)
    given_breaks = np.zeros(len(speakers), bool)
    given_breaks[list(breaks)] = True
    found = given_breaks | breaks_at_turns(table, numbers, given_breaks, 700)
    assert [speakers[first:stop] for first, stop in ranges_of(found).tolist()] == sentences


@st.composite
def conversations(draw: st.DrawFn) -> tuple[WordTable, list[Turn]]:
    """Segments of words, most with times, some of them marks, and turns that need not fit them."""
    segments: list[tuple[int, int, Sequence[tuple[str, int, int]] | str]] = []
    at = 0
    for _ in range(draw(st.integers(0, 5))):
        start = at = at + draw(st.integers(0, 1500))
        words = []
        for _ in range(draw(st.integers(0, 12))):
            first = at + draw(st.sampled_from([0, 0, 0, 40, 500, 900]))
            at = first + draw(st.integers(0, 600))
            words.append((draw(st.sampled_from(["a", "b", "好", "。", ","])), first, at))
        at += draw(st.integers(0, 300))
        plain = draw(st.integers(0, 4)) == 0
        segments.append((start, at, " ".join(word for word, _, _ in words) if plain else words))
    turns, moment = [], 0.0
    for _ in range(draw(st.integers(0, 8))):
        begin = moment + draw(st.sampled_from([0.0, 0.0, 0.4, 2.0]))
        moment = begin + draw(st.floats(0.7, 4))
        turns.append(Turn(begin, moment, draw(st.integers(0, 3))))
    return table_of(*segments), turns


@given(conversations(), st.integers(100, 3000), st.data())
def test_sentences_are_of_one_voice_and_span_no_long_pause(
    conversation: tuple[WordTable, list[Turn]], pause_ms: int, data: st.DataObject
) -> None:
    table, turns = conversation
    marks = np.array(data.draw(st.lists(st.booleans(), min_size=len(table), max_size=len(table))), bool)
    breaks = marks | breaks_at_pauses(table, pause_ms)
    speakers = speakers_of_words(table.spans_ms, turns)
    ranges = ranges_of(breaks | breaks_at_turns(table, speakers, breaks)).tolist()
    assert [word for first, stop in ranges for word in range(first, stop)] == list(range(len(table)))
    assert {first for first, _ in ranges} >= set(np.flatnonzero(marks).tolist())
    for first, stop in ranges:
        said = [table.spans_ms[word].tolist() for word in range(first, stop) if table.spoken[word]]
        for place in range(1, len(said)):
            assert said[place][0] - max(end for _, end in said[:place]) < pause_ms
        long = set()
        for speaker, turn in groupby(range(first, stop), key=lambda word: speakers[word]):
            words = list(turn)
            if table.spans_ms[words, 1].max() - table.spans_ms[words[0], 0] >= MIN_TURN_MS:
                long.add(int(speaker))
        assert len(long) <= 1


@given(conversations())
def test_a_sentence_has_the_speaker_of_most_of_it(conversation: tuple[WordTable, list[Turn]]) -> None:
    table, turns = conversation
    speakers = speakers_of_words(table.spans_ms, turns)
    assert set(speakers.tolist()) <= ({turn.speaker for turn in turns} or {0})
    ranges = ranges_of(breaks_at_pauses(table, 500))
    of_sentences = speakers_of_sentences(speakers, table.spans_ms, ranges)
    lengths = table.spans_ms[:, 1] - table.spans_ms[:, 0]
    for (first, stop), speaker in zip(ranges.tolist(), of_sentences.tolist(), strict=True):
        said = {int(one): int(lengths[first:stop][speakers[first:stop] == one].sum()) for one in speakers[first:stop]}
        assert said[speaker] == max(said.values())
    kept = only_speakers(speakers, of_sentences, ranges)
    assert set(kept.tolist()) == set(of_sentences.tolist()) & set(kept.tolist())
    assert all(one == other for one, other in zip(kept, speakers, strict=True) if other in of_sentences)


@pytest.mark.parametrize(
    ("first", "last", "speaker"),
    [(0, 900, 0), (600, 1200, 0), (900, 2000, 1), (1500, 1500, 1), (2100, 2200, 1), (3600, 3700, 2), (9000, 9100, 2)],
)
def test_a_word_is_of_the_turn_it_is_in_or_nearest_to(first: int, last: int, speaker: int) -> None:
    turns = [Turn(0.1, 1.0, 0), Turn(1.0, 2.0, 1), Turn(4.0, 5.0, 2)]
    assert speakers_of_words(np.array([[first, last]], np.int32), turns).tolist() == [speaker]


def test_turns_of_one_speaker_count_together() -> None:
    turns = [Turn(0.0, 0.4, 0), Turn(0.4, 1.0, 1), Turn(1.0, 1.4, 0)]
    assert speakers_of_words(np.array([[0, 1400]], np.int32), turns).tolist() == [0]


def test_times_of_a_sentence_are_those_of_what_is_spoken() -> None:
    table = one_after_another(("，", 0, 100), ("a", 500, 700), ("b", 700, 900), ("。", 1500, 1600))
    assert table.span_ms(0, 4) == (500, 900)
    assert table.span_ms(3, 4) == (900, 900)
    assert table.span_ms(0, 1) == (0, 100)
