"""Text on a screen: its width, where it may be cut, and its two lines."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from itertools import accumulate

MAX_LINE = 42
"""Columns of a line (Netflix's Timed Text Style Guide, English)."""

MAX_WIDE_LINE = 40
"""Columns of a line with wide characters, which take two each: 20 of them (of Chinese the guide has 16, others 20)."""

MAX_WIDTH = 2 * MAX_LINE
"""Columns of a subtitle: two lines."""

_AFTER_BLANK = "!?;:»"
"""Marks that French sets apart from the word they follow."""

_CLAUSE_BONUS = 12
"""Columns by which a line may miss its best length to end where a clause does."""


class TextUnits:
    """A text as the smallest parts that may stand on a line by themselves: words, each with the marks around it.

    Columns and lines are those of the units `first` to `stop`, half-open, with so many columns of a `prefix` before
    them.
    """

    def __init__(self, text: str, prefix: int = 0) -> None:
        self.text, self.prefix = text, prefix
        self.cuts = [0, *(at for at in range(1, len(text)) if may_cut(text[at - 1], text[at])), len(text)]
        widths = [width(character) for character in text]
        self._columns = list(accumulate(widths, initial=0))
        self._wide = list(accumulate((one == 2 for one in widths), initial=0))

    def __len__(self) -> int:
        return len(self.cuts) - 1

    def slice(self, first: int, stop: int) -> str:
        """The text of units, without the blank after them."""
        return self.text[self.cuts[first] : self._end(stop)]

    def columns(self, first: int, stop: int) -> int:
        """Columns of units and of the prefix."""
        return self.prefix + self._width(first, stop)

    def ends_clause(self, stop: int) -> bool:
        """True if the unit before `stop` ends with a mark."""
        return unicodedata.category(self.text[self._end(stop) - 1]).startswith("P")

    def first_line(self, first: int) -> int:
        """The unit before which the longest possible first line ends that begins with `first`."""
        stop = first
        while stop < len(self) and self._fits(first, stop + 1, self.prefix):
            stop += 1
        return stop

    def fits(self, first: int, stop: int, first_line: int) -> bool:
        """True if units fit two lines. first_line: as the method has it."""
        return stop <= first_line or self._fits(first_line, stop, 0)

    def lines(self, first: int, stop: int) -> str:
        """The text of units with a line end where that makes two lines that fit, about equally long.

        The second line may begin with the first unit, after the prefix alone. What cannot fit is cut evenly.
        """
        places = range(first if self.prefix else first + 1, stop)
        if not places or self._fits(first, stop, self.prefix):
            return self.slice(first, stop)
        cut = min(places, key=lambda cut: self._unevenness(first, cut, stop))
        return f"{self.slice(first, cut) if cut > first else ''}\n{self.slice(cut, stop)}"

    def _unevenness(self, first: int, cut: int, stop: int) -> tuple[bool, int]:
        above = self.prefix + (self._width(first, cut) if cut > first else 0)
        below = self._width(cut, stop)
        fit = (cut == first or self._fits(first, cut, self.prefix)) and self._fits(cut, stop, 0)
        bonus = _CLAUSE_BONUS if cut > first and self.ends_clause(cut) else 0
        return not fit, max(above, below) - bonus

    def _fits(self, first: int, stop: int, prefix: int) -> bool:
        wide = self._wide[self._end(stop)] - self._wide[self.cuts[first]]
        return prefix + self._width(first, stop) <= (MAX_WIDE_LINE if wide else MAX_LINE)

    def _width(self, first: int, stop: int) -> int:
        return self._columns[self._end(stop)] - self._columns[self.cuts[first]]

    def _end(self, stop: int) -> int:
        end = self.cuts[stop]
        return end - 1 if self.text[end - 1] == " " else end


def text_width(text: str) -> int:
    """Columns of a text."""
    return sum(map(width, text))


def width(character: str) -> int:
    """Columns of a character: two of a wide one, none of a mark that is set over another."""
    if unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in ("W", "F") else 1


def may_cut(before: str, after: str) -> bool:
    """True if a text may be cut between two characters: at blanks, and beside those of scripts without blanks."""
    if before == " " or after == " ":
        return before == " " and after not in _AFTER_BLANK
    if _opens(before) or not (after.isalnum() or _opens(after)):
        return False  # marks stay with what they are about
    return _dense(before) or _dense(after)


def letters_before(text: str, places: Sequence[int]) -> list[int]:
    """Number of letters and digits of a text before each place."""
    counts = list(accumulate(map(str.isalnum, text), initial=0))
    return [counts[place] for place in places]


def _opens(character: str) -> bool:
    return unicodedata.category(character) in ("Ps", "Pi")


def _dense(character: str) -> bool:
    # Korean is wide too, but has blanks between its words.
    return width(character) == 2 and not "가" <= character <= "힣"
