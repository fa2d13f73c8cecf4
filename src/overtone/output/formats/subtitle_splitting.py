"""Sentences split into subtitles that fit a screen and can be read while they are spoken."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate, pairwise

from overtone.output.formats.subtitle_clock import LetterClock
from overtone.output.formats.subtitle_layout import MAX_WIDTH, TextUnits, letters_before
from overtone.results import Sentence

MAX_MS = 7000
"""Milliseconds of a subtitle (Netflix's Timed Text Style Guide: the longest that one may stand)."""

MIN_MS = 700
"""Milliseconds of a subtitle that can be noticed and read (the guide has 5/6 s; speech has shorter answers)."""

PAUSE_MS = 500
"""Milliseconds of a pause that no subtitle stands through."""

GAP_MS = 80
"""Milliseconds without a subtitle at the end of such a pause: two pictures of 25 a second, so that a change is seen."""

COLUMNS_PER_S = 17
"""Columns of text that are read in a second (long the guide's 17 characters; of wide ones 8.5, where it has 9)."""

_SHORT, _FAST, _UNEVEN, _CLAUSE = 2.0, 1.5, 0.6, 0.12
"""Costs in subtitles: of one that is too short altogether, of a second that is missing for reading, of a full one
beside empty ones; what an end with a clause is worth, which makes up for some 25 columns."""


@dataclass(frozen=True, slots=True)
class SubtitleChunk:
    """Some words of a sentence, on one line or two, in milliseconds from the source's start."""

    start_ms: int
    end_ms: int
    text: str


def pieces(sentence: Sentence, prefix: int = 0, until_ms: int | None = None) -> list[SubtitleChunk]:
    """Split a sentence between words into pieces, each of two lines and within `MAX_MS` if more than one word.

    A piece ends where a pause of `PAUSE_MS` begins; apart from that there are few, about equally long, which end with a
    clause where that is near, and last long enough to be read where the words leave the time. Nothing for a sentence
    without text.

    Parameters
    ----------
    sentence
        Where its words have no times, its letters are taken to be equally long.
    prefix
        Columns of the text before each piece: a speaker, an emotion.
    until_ms
        Start of the next sentence; None where there is none.
    """
    text = " ".join(sentence.text.split())
    return list(_Splitting(text, sentence, prefix, until_ms).pieces()) if text else []


def reading_ms(columns: int) -> int:
    """Milliseconds that it takes to read so many columns."""
    return -(-columns * 1000 // COLUMNS_PER_S)


class _Splitting:
    def __init__(self, text: str, sentence: Sentence, prefix: int, until_ms: int | None) -> None:
        self._units = units = TextUnits(text, prefix)
        letters = letters_before(text, units.cuts)
        clock = LetterClock(sentence, letters[-1])
        # A piece may not start before the one ahead of it, whatever the times of words say.
        self._starts = list(accumulate((clock.start_ms(letter) for letter in letters[:-1]), max))
        self._ends = list(accumulate((clock.end_ms(letter) for letter in letters[1:]), max))
        if not letters[-1]:
            self._starts[0], self._ends[-1] = clock.first_ms, clock.last_ms
        self._until_ms = until_ms

    def pieces(self) -> Iterator[SubtitleChunk]:
        for first, stop in pairwise(self._pauses()):
            for cut, end in pairwise(self._cuts(first, stop)):
                start_ms = self._starts[cut]
                yield SubtitleChunk(start_ms, max(self._ends[end - 1], start_ms), self._units.lines(cut, end))

    def _pauses(self) -> list[int]:
        """The units before which a pause is, the first and the end."""
        inner = (at for at in range(1, len(self._units)) if self._starts[at] - self._ends[at - 1] >= PAUSE_MS)
        return [0, *inner, len(self._units)]

    def _cuts(self, first: int, stop: int) -> list[int]:
        """The cheapest way to cut the units `first` to `stop`, among them no pause: where pieces begin, and the end."""
        costs, origins = {first: 0.0}, {first: first}
        lines = {at: self._units.first_line(at) for at in range(first, stop)}
        for end in range(first + 1, stop + 1):
            for start in range(end - 1, first - 1, -1):
                if start < end - 1 and not self._fits(start, end, lines[start]):
                    break
                cost = costs[start] + self._cost(start, end)
                if end not in costs or cost < costs[end]:
                    costs[end], origins[end] = cost, start
        cuts = [stop]
        while cuts[-1] > first:
            cuts.append(origins[cuts[-1]])
        return cuts[::-1]

    def _fits(self, first: int, stop: int, first_line: int) -> bool:
        return self._ends[stop - 1] - self._starts[first] <= MAX_MS and self._units.fits(first, stop, first_line)

    def _cost(self, first: int, stop: int) -> float:
        columns = self._units.columns(first, stop)
        room_ms = min(self._room_until(stop) - self._starts[first], MAX_MS)
        short = max(MIN_MS - room_ms, 0) / MIN_MS
        fast = max(reading_ms(columns) - room_ms, 0) / 1000
        uneven = (columns / MAX_WIDTH) ** 2
        return 1 + _SHORT * short + _FAST * fast + _UNEVEN * uneven - _CLAUSE * self._units.ends_clause(stop)

    def _room_until(self, stop: int) -> float:
        """Millisecond until which a piece can stand that ends before `stop`."""
        end = self._ends[stop - 1]
        if stop < len(self._units):
            start: float = self._starts[stop]
        else:
            start = float("inf") if self._until_ms is None else max(self._until_ms, end)
        return start - GAP_MS if start - end >= PAUSE_MS else start
