"""Parquet: the rows of CSV with their types, compressed with zstd, in bounded memory."""

from __future__ import annotations

from typing import Any

from overtone.errors import Code, UsageError, printable
from overtone.output.formats.output_file import Place, Target, map_write_errors
from overtone.output.formats.sink import Closing
from overtone.output.formats.table import WORD, Cell, Table
from overtone.results import Result, Transcript

ROW_GROUP_ROWS = 32_768
"""Rows kept in memory before they are written as one row group; each word of a row counts as one more."""


class Parquet(Closing):
    """Sink of the rows of a table; models, precision and device in the file's metadata.

    An input that is interrupted midway may leave some of its rows, where it has more than a row group.
    """

    def __init__(self, path: Place, table: Table) -> None:
        self._arrow = _pyarrow()
        self._table = table
        self._rows: list[tuple[Cell, ...]] = []
        self._kept = 0
        self._writer: Any = None
        self._about: dict[str, str] = {"overtone.granularity": table.level}
        self._target = Target(path)

    @staticmethod
    def check() -> None:
        """UsageError if pyarrow is not installed."""
        _pyarrow()

    def write(self, result: Result) -> None:
        """Add one result."""
        if self._writer is None and "overtone.model" not in self._about:
            about = {"model": result.model, "precision": result.precision, "device": result.device}
            about["backend"] = result.backend or ""
            if isinstance(result, Transcript):
                about |= {f"models.{role}": name for role, name in result.models.items()}
            self._about |= {f"overtone.{key}": printable(value) for key, value in about.items()}
        for row in self._table.rows(result):
            self._rows.append(row)
            self._kept += 1 + sum(len(cell) for cell in row if isinstance(cell, list))
            if self._kept >= ROW_GROUP_ROWS:
                self._write_group()

    def close(self) -> None:
        """Write the last rows and the footer that makes the file readable."""
        if self._target.closed:
            return
        try:
            self._write_group()
            with map_write_errors(self._target.name):
                self._writer.close()
        finally:
            self._target.close()

    def break_off(self) -> None:
        """Finish the output after an error; without a result in it, a file that was there stays as it was."""
        if self._rows or self._writer is not None or not self._target.replaces:
            self.close()
        else:
            self._target.abort()

    def _write_group(self) -> None:
        kept, self._rows, self._kept = self._rows, [], 0
        cells = zip(*kept, strict=True) if kept else ((),) * len(self._table.columns)
        schema = self._schema()
        arrays = [
            self._arrow.array([_plain(cell) for cell in column], field.type)
            for column, field in zip(cells, schema, strict=True)
        ]
        with map_write_errors(self._target.name):
            if self._writer is None:
                self._writer = self._open(schema)
            if kept:
                self._writer.write_table(self._arrow.Table.from_arrays(arrays, schema=schema))
                self._target.flush()

    def _open(self, schema: Any) -> Any:
        import pyarrow.parquet

        text = [column.name for column in self._table.columns if column.kind == "text"]
        return pyarrow.parquet.ParquetWriter(self._target, schema, compression="zstd", use_dictionary=text)

    def _schema(self) -> Any:
        arrow = self._arrow
        types = {
            "text": arrow.string(),
            "integer": arrow.int32(),
            "seconds": arrow.float64(),
            "score": arrow.float32(),
            "share": arrow.float32(),
        }
        types["words"] = arrow.list_(arrow.struct([arrow.field(part.name, types[part.kind]) for part in WORD]))
        fields = [arrow.field(column.name, types[column.kind]) for column in self._table.columns]
        return arrow.schema(fields, metadata=self._about)


def _plain(cell: Cell) -> Cell:
    """A cell as Arrow takes it: all text encodable."""
    if isinstance(cell, list):
        return [(printable(word[0]), *word[1:]) for word in cell]
    return printable(cell) if isinstance(cell, str) else cell


def _pyarrow() -> Any:
    try:
        import pyarrow
    except ImportError as error:
        raise UsageError("Parquet needs pyarrow: pip install 'overtone[parquet]'", code=Code.MISSING_EXTRA) from error
    return pyarrow
