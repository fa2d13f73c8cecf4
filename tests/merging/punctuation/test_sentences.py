"""Sentences of words with times and marks, against FunASR's."""

from __future__ import annotations

import warnings

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from overtone.merging.punctuation.sentences import SENTENCES, TimedSentence, TimedWord, sentences

MARKS = ("", "，", "。", "？", "、")
WORDS = st.lists(
    st.tuples(
        st.sampled_from(["我", "你", "hello", "World", "3", "it's", "é", "b"]), st.sampled_from([*MARKS, "", ""])
    ),
    max_size=30,
)


def timed(texts: list[str]) -> list[TimedWord]:
    return [TimedWord(text, 100 * at, 100 * at + 80) for at, text in enumerate(texts)]


@settings(max_examples=200)
@given(said=WORDS, english=st.booleans())
def test_sentences_are_those_of_funasr(said: list[tuple[str, str]], english: bool) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tools = pytest.importorskip("funasr.utils.timestamp_tools", reason="funasr, the oracle, is not installed")
    theirs = tools.timestamp_sentence_en if english else tools.timestamp_sentence
    words = timed([text for text, _ in said])
    marks = [mark for _, mark in said]
    if said:
        marks[-1] = marks[-1] or "。"  # FunASR says nothing of what no mark follows
    wanted = theirs(
        [MARKS.index(mark) + 1 for mark in marks],
        [[word.start_ms, word.end_ms] for word in words],
        " ".join(word.text for word in words),
    )
    got = [
        {
            "text": found.text,
            "start": found.start_ms,
            "end": found.end_ms,
            "timestamp": [[word.start_ms, word.end_ms] for word in found.words],
        }
        for found in sentences(words, marks, english=english)
    ]
    assert got == wanted


@given(said=WORDS, english=st.booleans(), until=st.sampled_from([SENTENCES, "，。？、", ""]))
def test_every_word_is_in_a_sentence(said: list[tuple[str, str]], english: bool, until: str) -> None:
    words = timed([text for text, _ in said])
    found = list(sentences(words, [mark for _, mark in said], english=english, until=until))
    assert [word for sentence in found for word in sentence.words] == words
    assert all(sentence.start_ms == sentence.words[0].start_ms for sentence in found)
    ends = [mark for _, mark in said[:-1] if mark and mark in until]
    assert len(found) == len(ends) + bool(said)


def test_a_sentence_may_have_commas() -> None:
    words = timed(["hello", "world", "我"])
    assert list(sentences(words, ["，", "。", ""], english=True, until=SENTENCES)) == [
        TimedSentence("hello, world.", 0, 180, tuple(words[:2])),
        TimedSentence("我", 200, 280, (words[2],)),
    ]


def test_words_and_marks_go_together() -> None:
    with pytest.raises(ValueError, match="shorter"):
        list(sentences(timed(["a", "b"]), ["，"]))
