"""CSV as RFC 4180 has it: a header, comma, CRLF, quotes where needed; UTF-8 without a byte order mark.

A spreadsheet takes a cell that starts with `=`, `+`, `-` or `@` for a formula, and file names come from
strangers. Such a source is written as `./=name`, which names the same file, so that joins on paths still
work; other text gets the customary leading `'`. JSON and Parquet carry every name unchanged.
"""

from __future__ import annotations

import csv

from overtone.output.formats.output_file import Place, Target
from overtone.output.formats.sink import TextSink
from overtone.output.formats.table import DIGITS, Cell, Column, Table
from overtone.results import Result

# The wide forms are read as operators by spreadsheets in East Asian locales.
_FORMULA = tuple("=+-@\t\r\n＝＋－＠")


def escape_formula(text: str, *, path: bool = False) -> str:
    """`text` so that no spreadsheet runs it. A lone `-` (standard input) is no formula and stays."""
    if not text.startswith(_FORMULA) or text == "-":
        return text
    return ("./" if path else "'") + text


class Csv(TextSink):
    """The rows of a table, which must have no lists in its cells."""

    def __init__(self, path: Place, table: Table) -> None:
        super().__init__(Target(path))
        self._table = table
        self._csv = csv.writer(self._target)
        self._csv.writerow([escape_formula(column.name) for column in table.columns])

    def _put(self, result: Result) -> None:
        for row in self._table.rows(result):
            self._csv.writerow([_text(*pair) for pair in zip(self._table.columns, row, strict=True)])


def _text(column: Column, cell: Cell) -> str:
    if cell is None:
        return ""
    if isinstance(cell, str):
        return escape_formula(cell, path=column.name == "source")
    if column.kind == "integer":
        return str(cell)
    # Fixed notation: 0.00001 as 1e-05 is text to some readers.
    return f"{cell:.{DIGITS[column.kind]}f}"
