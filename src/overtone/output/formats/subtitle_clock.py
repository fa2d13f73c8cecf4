"""Times of the letters of a sentence, from those of its words."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import accumulate

from overtone.results import Sentence


class LetterClock:
    """Milliseconds at which letters of a sentence begin and end.

    The text has marks that the words have not, but the same letters; where it has not (numbers that were spelled
    otherwise), letters stand for each other in proportion. Where words have no times, letters are equally long.
    """

    def __init__(self, sentence: Sentence, letters: int) -> None:
        """letters: of the text, as `str.isalnum` counts them."""
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


def has_times(sentence: Sentence) -> bool:
    """True if every word has its times."""
    return all(word.start is not None and word.end is not None for word in sentence.words)


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
