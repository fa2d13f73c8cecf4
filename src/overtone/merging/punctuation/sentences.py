"""Words with times and marks to sentences with times, as FunASR's `sentence_info` has them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

CLAUSES = "，。？、"
"""Marks at which FunASR ends what it calls a sentence."""
SENTENCES = "。？"
"""Marks at which a sentence ends."""

_ENGLISH: Mapping[str, str] = {"，": ",", "。": ".", "？": "?", "、": ","}


class TimedWord(NamedTuple):
    """A word, and its first and last millisecond, half-open."""

    text: str
    start_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True)
class TimedSentence:
    """The words up to a mark, with it. Milliseconds, half-open."""

    text: str
    start_ms: int
    end_ms: int
    words: tuple[TimedWord, ...]


def sentences(
    words: Iterable[TimedWord], marks: Iterable[str], *, english: bool = False, until: str = CLAUSES
) -> Iterator[TimedSentence]:
    """Sentences, in order; every word is in one, and what follows the last mark is one too (FunASR leaves it out).

    marks: after each word, "" for none. english: marks of Latin script, and no blank before a sentence's first word
    (`en_post_proc`); without it a sentence that begins in Latin script begins with a blank, as in FunASR.
    until: the marks that end a sentence.
    """
    held: list[TimedWord] = []
    text = ""
    for word, mark in zip(words, marks, strict=True):
        if _is_latin(word.text[:1]) or _is_latin(text[-1:]):
            text += " "
        text += word.text
        if english:
            text = text.removeprefix(" ")
        text += _ENGLISH.get(mark, mark) if english else mark
        held.append(word)
        if mark and mark in until:
            yield _sentence(text, held)
            held, text = [], ""
    if held:
        yield _sentence(text, held)


def _sentence(text: str, words: list[TimedWord]) -> TimedSentence:
    return TimedSentence(text, words[0].start_ms, words[-1].end_ms, tuple(words))


def _is_latin(character: str) -> bool:
    return "a" <= character <= "z" or "A" <= character <= "Z"
