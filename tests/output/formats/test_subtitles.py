"""Cues held to what can be read and to what is spoken, over random words, pauses and scripts."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.results import result, segment, sentence, transcript
from overtone.output.formats.subtitle_splitting import pieces
from overtone.output.formats.subtitles import Cue, cues
from overtone.results import Emotion, Sentence, Word

Spoken = list[tuple[str, int, int]]
"""Words with their first and last millisecond."""


def columns(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)


def shown(cue: Cue) -> list[str]:
    """The lines of a cue as SubRip has them."""
    name = "" if cue.speaker is None else f"Speaker {cue.speaker}: "
    return (name + cue.text).split("\n")


def said(words: Spoken, **fields: object) -> Sentence:
    """A sentence of those words, with a comma after every fifth."""
    text = ""
    for place, (word, _, _) in enumerate(words, start=1):
        text += " " if text and word.isascii() and text[-1].isascii() else ""
        text += word + ("" if place == len(words) or place % 5 else "," if word.isascii() else "，")
    timed = tuple(Word(word, start / 1000, end / 1000, 0.9) for word, start, end in words)
    return Sentence(words[0][1] / 1000, words[-1][2] / 1000, text, timed, **fields)  # type: ignore[arg-type]


@st.composite
def talks(draw: st.DrawFn) -> tuple[list[Sentence], list[Spoken]]:
    """Sentences one after another; the words in them have pauses of all lengths, and each is unlike the last."""
    sentences, spoken, at = [], [], 0
    for _ in range(draw(st.integers(1, 4))):
        script = draw(st.sampled_from(["ab", "好天", "ab好"]))
        words: Spoken = []
        at += draw(st.sampled_from([0, 30, 400, 500, 2500]))
        for _ in range(draw(st.integers(1, 40))):
            at += 0 if not words else draw(st.sampled_from([0, 0, 0, 0, 20, 100, 499, 500, 501, 3000]))
            letter = draw(st.sampled_from(script))
            word = letter if letter > "z" else letter * draw(st.integers(1, 12))
            end = at + draw(st.integers(10, 900))
            words.append((word, at, end))
            at = end
        speaker = draw(st.none() | st.integers(0, 11))
        mood = draw(st.none() | st.sampled_from([Emotion("angry"), Emotion("disgusted")]))
        sentences.append(said(words, speaker=speaker, emotion=mood))
        spoken.append(words)
    return sentences, spoken


def matched(found: Sequence[Cue], sentences: Sequence[Sentence], spoken: list[Spoken]) -> list[tuple[Cue, Spoken]]:
    """Each cue with the words that it shows, by their letters."""
    rest = [word for words in spoken for word in words]
    moods = [None if one.emotion is None else f"[{one.emotion.label}] " for one in sentences for _ in one.words]
    pairs = []
    for cue in found:
        text = cue.text.replace("\n", " ")
        if mood := moods[0]:
            assert text.startswith(mood)
            text = text.removeprefix(mood)
        letters = "".join(filter(str.isalnum, text))
        own: Spoken = []
        while letters:
            word = rest.pop(0)
            moods.pop(0)
            assert letters.startswith(word[0])
            letters = letters.removeprefix(word[0])
            own.append(word)
        pairs.append((cue, own))
    assert not rest
    return pairs


@given(talks())
def test_cues_show_words_when_they_are_spoken_and_no_pauses(talk: tuple[list[Sentence], list[Spoken]]) -> None:
    sentences, spoken = talk
    found = list(cues(transcript(sentences=sentences, duration=spoken[-1][-1][2] / 1000 + 60)))
    pairs = matched(found, sentences, spoken)
    for (cue, own), following in zip(pairs, [*found[1:], None], strict=True):
        assert all(start - end < 500 for (_, _, end), (_, start, _) in pairwise(own))
        assert own[0][1] <= cue.start_ms <= own[0][1] + 500
        assert cue.end_ms >= own[-1][2] or (following is not None and cue.end_ms == following.start_ms)
    everything = [word for words in spoken for word in words]
    for (_, _, end), (_, start, _) in pairwise(everything):
        if start - end >= 500:
            assert not any(cue.start_ms <= end and cue.end_ms >= start for cue in found)


@given(talks())
def test_cues_fit_a_screen_and_last_until_they_are_read(talk: tuple[list[Sentence], list[Spoken]]) -> None:
    sentences, spoken = talk
    found = list(cues(transcript(sentences=sentences, duration=spoken[-1][-1][2] / 1000 + 60)))
    for cue, following in zip(found, [*found[1:], None], strict=True):
        lines = shown(cue)
        assert len(lines) <= 2
        assert all(columns(line) <= (42 if columns(line) == len(line) else 40) for line in lines)
        length = cue.end_ms - cue.start_ms
        assert 1 <= length <= 7000
        read = sum(map(columns, lines)) / 17 * 1000
        if length < min(max(700, read), 7000):
            # The next one comes, or a pause ends that must be seen.
            assert following is not None
            assert following.start_ms - cue.end_ms <= 80
    assert all(one.end_ms <= other.start_ms for one, other in pairwise(found))


def test_a_name_counts_for_the_line_and_for_the_reading() -> None:
    text = "These are some thirty characters."
    (bare,) = cues(transcript(sentences=[sentence(0, 1, text)], duration=60))
    (named,) = cues(transcript(sentences=[sentence(0, 1, text, speaker=0, emotion=Emotion("angry"))], duration=60))
    assert (bare.text, bare.end_ms) == (text, 1942)  # 33 columns / 17
    assert (named.text, named.end_ms) == ("[angry] These\nare some thirty characters.", 3059)  # 11 + 8 + 33 columns


def test_a_cue_ends_before_the_pause_and_the_source_do() -> None:
    text = "So much is said in so little time by those who talk."
    first, second = cues(transcript(sentences=[sentence(0, 1, text), sentence(1.6, 2, "No.")], duration=2.25))
    assert (first.end_ms, second.start_ms, second.end_ms) == (1520, 1600, 2250)


def test_a_short_answer_stays_while_the_next_can_wait() -> None:
    exchange = [sentence(0, 0.2, "Yes.", speaker=0), sentence(0.2, 2.2, "But not now.", speaker=1)]
    assert [(cue.start_ms, cue.end_ms) for cue in cues(transcript(sentences=exchange))] == [(0, 700), (700, 2200)]


def test_sentences_without_times_share_their_segment() -> None:
    silent = tuple(Word(text, None, None, None) for text in ("a", "b"))
    untimed = [Sentence(0, 8, "aaaa bbbb.", silent), Sentence(0, 8, "cc.", silent), Sentence(8, 9, "d.", silent)]
    assert [(cue.start_ms, cue.end_ms) for cue in cues(transcript(sentences=untimed, duration=60))] == [
        (0, 6154),
        (6154, 8000),
        (8000, 9000),
    ]


def test_a_word_that_no_line_holds_is_shown_whole() -> None:
    found = pieces(sentence(0, 2, "See " + "x" * 60 + " now."), prefix=20)
    assert [piece.text for piece in found] == ["See", "\n" + "x" * 60, "now."]


@pytest.mark.parametrize("starts", [(0, 16_000, 24_000), (0, 0, 0), (0, 8, 16)])
def test_cues_of_emotions_are_in_order_and_apart(starts: tuple[int, ...]) -> None:
    windows = [segment(start, start + 24_000, (0.8, 0.1, 0.1)) for start in starts]
    found = list(cues(result(segments=windows)))
    assert len(found) == 3
    assert all(cue.start_ms < cue.end_ms for cue in found)
    assert all(one.end_ms <= other.start_ms for one, other in pairwise(found))


def test_a_short_emotion_stays_in_the_silence_after_it() -> None:
    blink = [segment(0, 1600, (0.8, 0.1, 0.1)), segment(1600, 16_000, None), segment(16_000, 32_000, (0.8, 0.1, 0.1))]
    first, second = cues(result(segments=blink))
    assert (first.start_ms, first.end_ms, second.start_ms, second.end_ms) == (0, 700, 1000, 2000)
