"""Sentences split into subtitles that fit a screen and can be read while they are spoken."""

from __future__ import annotations

import unicodedata
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import ceil

from overtone.results import Sentence

MAX_WIDTH = 84
"""Columns of a subtitle, wide characters counted twice: two lines of 42 (Netflix's Timed Text Style Guide, English)."""

MAX_MS = 7000
"""Milliseconds of a subtitle (the same guide: the longest that one may stand)."""

_AFTER_BLANK = "!?;:»"
"""Marks that French sets apart from the word they follow."""

_CLAUSE_BONUS = 20
"""Columns by which a subtitle may miss its best length to end where a clause does."""


@dataclass(frozen=True, slots=True)
class SubtitleChunk:
    """Some words of a sentence, in milliseconds from the source's start."""

    start_ms: int
    end_ms: int
    text: str


def pieces(sentence: Sentence) -> list[SubtitleChunk]:
    """Split a sentence between words into pieces, each within `MAX_WIDTH` and `MAX_MS` if more than one word.

    Pieces are about equally long, and end with a clause where that is near. Where the words have no times, their
    letters are taken to be equally long. Nothing for a sentence without text.
    """
    text = " ".join(sentence.text.split())
    if not text:
        return []
    units = _Units(text, sentence)
    found, first = [], 0
    while first < len(units):
        stop = units.end_of_piece(first)
        found.append(units.piece(first, stop))
        first = stop
    return found


class _Units:
    """The words of a text, each with the punctuation around it, which stays with it."""

    def __init__(self, text: str, sentence: Sentence) -> None:
        cuts = [0, *(at for at in range(1, len(text)) if _may_cut(text[at - 1], text[at])), len(text)]
        letters = list(accumulate(map(str.isalnum, text), initial=0))
        clock = _Clock(sentence, letters[-1])
        self._text = text
        self._cuts = cuts
        self._columns = list(accumulate(map(_width, text), initial=0))
        # A piece may not start before the one ahead of it, whatever the times of words say.
        self._starts = list(accumulate((clock.start_ms(letters[cut]) for cut in cuts[:-1]), max))
        self._stops = [clock.end_ms(letters[cut]) for cut in cuts[1:]]
        self._starts[0], self._stops[-1] = clock.first_ms, clock.last_ms

    def __len__(self) -> int:
        return len(self._cuts) - 1

    def piece(self, first: int, stop: int) -> SubtitleChunk:
        start = self._starts[first]
        return SubtitleChunk(start, max(self._stops[stop - 1], start), self._text[self._cuts[first] : self._end(stop)])

    def end_of_piece(self, first: int) -> int:
        """Index of the unit before which a piece that starts at `first` ends."""
        stop = first + 1
        while stop < len(self) and self._fits(first, stop + 1):
            stop += 1
        if stop == len(self):
            return stop
        width, length_ms = self._width(first, len(self)), self._stops[-1] - self._starts[first]
        best = width / max(ceil(width / MAX_WIDTH), ceil(length_ms / MAX_MS))
        return min(
            range(first + 1, stop + 1),
            key=lambda at: abs(self._width(first, at) - best) - _CLAUSE_BONUS * self._ends_clause(at),
        )

    def _fits(self, first: int, stop: int) -> bool:
        return self._width(first, stop) <= MAX_WIDTH and self._stops[stop - 1] - self._starts[first] <= MAX_MS

    def _width(self, first: int, stop: int) -> int:
        return self._columns[self._end(stop)] - self._columns[self._cuts[first]]

    def _ends_clause(self, stop: int) -> bool:
        return unicodedata.category(self._text[self._end(stop) - 1]).startswith("P")

    def _end(self, stop: int) -> int:
        """End of the text before unit `stop`, without its blank."""
        end = self._cuts[stop]
        return end - 1 if self._text[end - 1] == " " else end


class _Clock:
    """Times of the letters of a sentence.

    The text has marks that the words have not, but the same letters; where it has not (numbers that were spelled
    otherwise), letters stand for each other in proportion.
    """

    def __init__(self, sentence: Sentence, letters: int) -> None:
        words = _timed(sentence)
        self.first_ms, self.last_ms = round(sentence.start * 1000), round(sentence.end * 1000)
        self._times = [(start * 1000, end * 1000) for _, start, end in words]
        self._letters = list(accumulate((count for count, _, _ in words), initial=0))
        self._scale = self._letters[-1] / max(letters, 1)

    def start_ms(self, letter: int) -> int:
        """Start of a letter."""
        return self._moment(letter * self._scale, bisect_right(self._letters, letter * self._scale) - 1)

    def end_ms(self, letter: int) -> int:
        """End of the letter before it."""
        return self._moment(letter * self._scale, bisect_left(self._letters, letter * self._scale) - 1)

    def _moment(self, position: float, at: int) -> int:
        at = min(max(at, 0), len(self._times) - 1)
        (start, end), (first, stop) = self._times[at], self._letters[at : at + 2]
        moment = round(start + (end - start) * (position - first) / (stop - first))
        return min(max(moment, self.first_ms), self.last_ms)


def _timed(sentence: Sentence) -> Sequence[tuple[int, float, float]]:
    """Letters, start and end of each word that has letters; of the whole sentence where words have no times."""
    found: list[tuple[int, float, float]] = []
    for word in sentence.words:
        if word.start is None or word.end is None:
            found.clear()
            break
        if letters := sum(map(str.isalnum, word.text)):
            found.append((letters, word.start, word.end))
    return found or [(max(sum(map(str.isalnum, sentence.text)), 1), sentence.start, sentence.end)]


def _may_cut(before: str, after: str) -> bool:
    """True if a piece may end between two characters: at blanks, and beside characters of scripts without blanks."""
    if before == " " or after == " ":
        return before == " " and after not in _AFTER_BLANK
    if _opens(before) or not (after.isalnum() or _opens(after)):
        return False  # marks stay with what they are about
    return _dense(before) or _dense(after)


def _opens(character: str) -> bool:
    return unicodedata.category(character) in ("Ps", "Pi")


def _dense(character: str) -> bool:
    # Korean is wide too, but has blanks between its words.
    return _width(character) == 2 and not "가" <= character <= "힣"


def _width(character: str) -> int:
    return 2 if unicodedata.east_asian_width(character) in ("W", "F") else 1
