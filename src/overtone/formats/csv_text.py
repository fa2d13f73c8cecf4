"""CSV as RFC 4180 has it: a header, comma, CRLF, quotes where needed; UTF-8 without a byte order mark.

A spreadsheet takes a cell that starts with `=`, `+`, `-` or `@` for a formula, and file names come from
strangers. Such a source is written as `./=name`, which names the same file, so that joins on paths still
work; other text gets the customary leading `'`. JSON and Parquet carry every name unchanged.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence

from overtone.formats.sink import TextSink
from overtone.formats.table import Cell, Column, columns, rows
from overtone.formats.target import Target
from overtone.record import FRAME_SCORE_DIGITS, SCORE_DIGITS, SECOND_DIGITS
from overtone.values import EmotionResult, Granularity

# The wide forms are read as operators by spreadsheets in East Asian locales.
_FORMULA = tuple("=+-@\t\r\n＝＋－＠")


def harmless(text: str, *, path: bool = False) -> str:
    """`text` so that no spreadsheet runs it. A lone `-` (standard input) is no formula and stays."""
    if not text.startswith(_FORMULA) or text == "-":
        return text
    return ("./" if path else "'") + text


class Csv(TextSink):
    """One row per input, segment or frame, the columns as `table.columns` says."""

    def __init__(self, path: str | None, granularity: Granularity, labels: Sequence[str]) -> None:
        super().__init__(Target(path))
        self._granularity = granularity
        self._labels = labels
        self._columns = columns(granularity, labels)
        self._score_digits = FRAME_SCORE_DIGITS if granularity == "frame" else SCORE_DIGITS
        self._csv = csv.writer(self._target)
        self._csv.writerow([harmless(column.name) for column in self._columns])

    def _put(self, result: EmotionResult) -> None:
        for row in rows(result, self._granularity, self._labels):
            self._csv.writerow([self._text(*pair) for pair in zip(self._columns, row, strict=True)])

    def _text(self, column: Column, cell: Cell) -> str:
        if cell is None:
            return ""
        if isinstance(cell, str):
            return harmless(cell, path=column.name == "source")
        if column.kind == "integer":
            return str(cell)
        # Fixed notation: 0.00001 as 1e-05 is text to some readers.
        return f"{cell:.{SECOND_DIGITS if column.kind == 'seconds' else self._score_digits}f}"
