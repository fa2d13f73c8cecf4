"""Text and recognized words cut into the pieces that the model gives marks to."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, Protocol

from overtone.models.ct_transformer.lexicon import Lexicon


class PunctuationToken(NamedTuple):
    """A piece of text that the model gives one mark to.

    `words`: how many of the words that were put in end in it. `ends`: whether the last of them ends where it does, so
    that the mark is that word's.
    """

    text: str
    words: int
    ends: bool


class Splitter(Protocol):
    """Cuts words into pieces, as they come."""

    def push(self, words: Sequence[str]) -> list[PunctuationToken]:
        """Add words, none of them empty or with white space in it; get the pieces that are now certain."""

    def finish(self) -> list[PunctuationToken]:
        """The pieces that remain."""


_PIECES = re.compile(r"[\x00-\x7f]+|[^\x00-\x7f]")


class Characters:
    """Every character beyond ASCII is a piece, and so is what stands between them. It keeps nothing."""

    def push(self, words: Sequence[str]) -> list[PunctuationToken]:
        """See Splitter."""
        pieces = []
        for word in words:
            *before, last = _PIECES.findall(word)
            pieces += [PunctuationToken(text, 0, False) for text in before]
            pieces.append(PunctuationToken(last, 1, True))
        return pieces

    def finish(self) -> list[PunctuationToken]:
        """See Splitter."""
        return []


class Dictionary:
    """A splitter by dictionary: anything but English is put together until English follows, and cut into words.

    So a piece may be of several words, and a word of several pieces. As few words are kept as the dictionary allows.
    """

    def __init__(self, lexicon: Lexicon) -> None:
        self._lexicon = lexicon
        self._text = ""
        self._ends: list[int] = []  # of the words put together in _text

    def push(self, words: Sequence[str]) -> list[PunctuationToken]:
        """See Splitter."""
        pieces: list[PunctuationToken] = []
        joined, length = [self._text], len(self._text)
        for word in words:
            if _ENGLISH.search(word):
                self._text = "".join(joined)
                pieces += [*self.finish(), PunctuationToken(word, 1, True)]
                joined, length = [], 0
            else:
                joined.append(word)
                length += len(word)
                self._ends.append(length)
        self._text = "".join(joined)
        return pieces + self._cut(self._lexicon.certain(self._text))

    def finish(self) -> list[PunctuationToken]:
        """See Splitter."""
        return self._cut(len(self._text))

    def _cut(self, stop: int) -> list[PunctuationToken]:
        """Pieces of the first `stop` characters, which are then done with."""
        pieces = []
        at = done = 0
        for text in self._lexicon.cut(self._text[:stop]):
            at += len(text)
            before = done
            while done < len(self._ends) and self._ends[done] <= at:
                done += 1
            pieces.append(PunctuationToken(text, done - before, done > before and self._ends[done - 1] == at))
        self._text = self._text[stop:]
        self._ends = [end - stop for end in self._ends[done:]]
        return pieces


_ENGLISH = re.compile(r"^[a-zA-Z']+$")


def marks_of_words(pieces: Iterable[PunctuationToken], marks: Iterable[str]) -> Iterator[str]:
    """The marks of the words that end in these pieces, in order: "" for a word that ends inside of one."""
    for piece, mark in zip(pieces, marks, strict=True):
        yield from [""] * (piece.words - piece.ends)
        if piece.ends:
            yield mark


def marks_of_characters(pieces: Iterable[PunctuationToken], marks: Iterable[str]) -> Iterator[str]:
    """The marks as FunASR counts them: a piece that begins with a character of East Asia has one for each character."""
    for piece, mark in zip(pieces, marks, strict=True):
        if "\u0e00" <= piece.text[0] <= "\u9fa5":
            yield from [""] * (len(piece.text) - 1)
        yield mark
