"""Parquet: the rows of CSV with their types, compressed with zstd, in bounded memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from overtone.errors import UsageError, spelled_out
from overtone.formats.sink import Closing
from overtone.formats.table import Cell, columns, rows
from overtone.formats.target import Target, writing
from overtone.values import EmotionResult, Granularity

ROW_GROUP_ROWS = 32_768
"""Rows kept in memory before they are written as one row group."""


class Parquet(Closing):
    """One row per input, segment or frame; model, precision and device in the file's metadata.

    An input that is interrupted midway at frame granularity may leave some of its rows.
    """

    def __init__(self, path: str | None, granularity: Granularity, labels: Sequence[str]) -> None:
        self._arrow = _pyarrow()
        self._granularity = granularity
        self._labels = labels
        self._columns = columns(granularity, labels)
        self._rows: list[tuple[Cell, ...]] = []
        self._writer: Any = None
        self._about: dict[str, str] = {"overtone.granularity": granularity}
        self._target = Target(path)

    @staticmethod
    def check() -> None:
        """UsageError if pyarrow is not installed."""
        _pyarrow()

    def write(self, result: EmotionResult) -> None:
        """Add one result."""
        if self._writer is None and "overtone.model" not in self._about:
            about = {"model": result.model, "precision": result.precision, "device": result.device}
            about["backend"] = result.backend or ""
            self._about |= {f"overtone.{key}": spelled_out(value) for key, value in about.items()}
        for row in rows(result, self._granularity, self._labels):
            self._rows.append(row)
            if len(self._rows) >= ROW_GROUP_ROWS:
                self._write_group()

    def close(self) -> None:
        """Write the last rows and the footer that makes the file readable."""
        if self._target.closed:
            return
        try:
            self._write_group()
            with writing(self._target.name):
                self._writer.close()
        finally:
            self._target.close()

    def _write_group(self) -> None:
        kept, self._rows = self._rows, []
        cells = zip(*kept, strict=True) if kept else ((),) * len(self._columns)
        schema = self._schema()
        arrays = [
            self._arrow.array([spelled_out(c) if isinstance(c, str) else c for c in column], field.type)
            for column, field in zip(cells, schema, strict=True)
        ]
        with writing(self._target.name):
            if self._writer is None:
                self._writer = self._open(schema)
            if kept:
                self._writer.write_table(self._arrow.Table.from_arrays(arrays, schema=schema))
                self._target.flush()

    def _open(self, schema: Any) -> Any:
        import pyarrow.parquet

        text = [column.name for column in self._columns if column.kind == "text"]
        return pyarrow.parquet.ParquetWriter(self._target, schema, compression="zstd", use_dictionary=text)

    def _schema(self) -> Any:
        arrow = self._arrow
        types = {
            "text": arrow.string(),
            "integer": arrow.int32(),
            "seconds": arrow.float64(),
            "score": arrow.float32(),
        }
        fields = [arrow.field(column.name, types[column.kind]) for column in self._columns]
        return arrow.schema(fields, metadata=self._about)


def _pyarrow() -> Any:
    try:
        import pyarrow
    except ImportError as error:
        raise UsageError("Parquet needs pyarrow: pip install 'overtone[parquet]'", code="missing_extra") from error
    return pyarrow
