"""Results as rows, the same for CSV and Parquet: the columns of every table, and the types of its cells."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from overtone.output.records import CONFIDENCE_DIGITS, SCORE_DIGITS, SECOND_DIGITS, Level, rounded
from overtone.results import Result

WordCell: TypeAlias = "tuple[str, float | None, float | None, float | None, int | None]"
"""A word: its text, its start and end in seconds, its confidence, its speaker."""

Cell: TypeAlias = "str | int | float | list[WordCell] | None"
Kind = Literal["text", "integer", "seconds", "score", "share", "words"]

DIGITS: Final = {"seconds": SECOND_DIGITS, "score": SCORE_DIGITS, "share": CONFIDENCE_DIGITS}
"""Decimals of the kinds of floats; a share is a score of a frame or a confidence."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column and the type of its cells: str, int, float, or a list of words; any cell may be None."""

    name: str
    kind: Kind


WORD: Final = (
    Column("text", "text"),
    Column("start", "seconds"),
    Column("end", "seconds"),
    Column("confidence", "share"),
    Column("speaker", "integer"),
)
"""The parts of a `WordCell`, in their order."""

WHO: Final = (Column("source", "text"), Column("id", "text"), Column("channel", "integer"))
ERROR: Final = (Column("error_code", "text"), Column("error_message", "text"))


class Table:
    """Rows of results: the input, the columns of one kind of result, and the error."""

    def __init__(self, level: Level, own: Sequence[Column]) -> None:
        self.level = level
        self.columns = (*WHO, *own, *ERROR)
        self._own = own

    def rows(self, result: Result) -> Iterator[tuple[Cell, ...]]:
        """The rows of one result, at least one: a failed input has one with its error.

        Seconds have three decimals, scores six, scores of frames and confidences four. Long results are read
        piece by piece.
        """
        who = (result.source, result.id, result.channel)
        if result.error is None:
            for cells in self._cells(result):
                yield (*who, *cells, None, None)
            return
        length = rounded(result.duration, SECOND_DIGITS)
        blank = (length if column.name == "duration" else None for column in self._own)
        yield (*who, *blank, result.error.code, str(result.error))

    @abstractmethod
    def _cells(self, result: Result) -> Iterator[tuple[Cell, ...]]:
        """The cells of the table's columns, row by row; TypeError for another kind of result."""
