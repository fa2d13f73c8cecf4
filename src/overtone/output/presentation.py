"""Results as their methods give them: through the same records, tables, sinks and plots as those of `-o`."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

from overtone.errors import Code, UsageError
from overtone.output import notebook
from overtone.output.formats.open_sink import holds_errors, open_sink, table_of
from overtone.output.formats.table import WORD, Kind
from overtone.output.plots import draw_timeline, save_figure
from overtone.output.records import DETAILS, GRANULARITIES, Level, json_chunks, to_json, to_record
from overtone.results import SILENCE, EmotionResult, Result, Transcript
from overtone.wording import param


def level_of(result: Result, granularity: Level | None) -> Level:
    """The detail asked for, or all that the result has. UsageError for one of another kind of result."""
    known: tuple[Level, ...] = DETAILS if isinstance(result, Transcript) else GRANULARITIES
    if granularity is None:
        framed = isinstance(result, EmotionResult) and result.frames is not None
        return "word" if isinstance(result, Transcript) else "frame" if framed else "segment"
    if granularity not in known:
        raise UsageError(f"{param('granularity')} of this result is {', '.join(known)}, not {granularity!r}.")
    if granularity == "frame" and isinstance(result, EmotionResult) and _lacks_frames(result):
        raise UsageError("this result has no frames; call the recognizer with granularity='frame'.")
    return granularity


def _lacks_frames(result: EmotionResult) -> bool:
    """True where frames were not asked for: failed inputs have none, and silence may have none."""
    return result.frames is None and result.ok and result.label != SILENCE


def record(result: Result, granularity: Level | None) -> dict[str, Any]:
    """The record of a result."""
    return to_record(result, granularity=level_of(result, granularity))


def json_text(result: Result, granularity: Level | None, indent: int | None) -> str:
    """The record as text, on one line unless there is an indent."""
    if indent is not None:
        return to_json(record(result, granularity), indent=indent)
    return "".join(json_chunks(result, level_of(result, granularity)))


def data_frame(result: Result, granularity: Level | None) -> Any:
    """The rows of a result as a `pandas.DataFrame`. UsageError without pandas."""
    table = table_of(level_of(result, granularity), classes_of(result))
    try:
        import pandas as pd
    except ImportError as error:
        raise UsageError("to_frame() needs pandas: pip install pandas", code=Code.MISSING_EXTRA) from error
    names = [column.name for column in table.columns]
    columns = dict(zip(names, zip(*table.rows(result), strict=True), strict=True))
    types: dict[Kind, str] = {
        "integer": "Int64", "seconds": "float64", "score": "float64", "share": "float64",
    }  # fmt: skip
    return pd.DataFrame(
        {
            column.name: pd.Series(_cells(columns[column.name]), dtype=types.get(column.kind, "object"))
            for column in table.columns
        }
    )


def _cells(cells: Iterable[Any]) -> list[Any]:
    """The cells of a column; words as dicts, as they are in Parquet."""
    names = [part.name for part in WORD]
    return [
        [dict(zip(names, word, strict=True)) for word in cell] if isinstance(cell, list) else cell for cell in cells
    ]


def classes_of(result: Result) -> tuple[str, ...]:
    """The classes of a result's scores, in their order; none where nothing was scored."""
    if not isinstance(result, EmotionResult):
        return ()
    if result.frames is not None:
        return result.frames.labels
    return tuple(result.scores or ())


def save(result: Result, path: str | os.PathLike[str], granularity: Level | None, format: str | None) -> None:
    """Write a result to a file, through the sink of its ending or of `format`."""
    speakers = not isinstance(result, Transcript) or result.speakers is not None
    level, name = level_of(result, granularity), os.fspath(path)
    if not (result.ok or holds_errors(name, format)):
        raise UsageError(f"{result.source} failed, so there is nothing to write to {name}: {result.error}")
    with open_sink(name, granularity=level, labels=classes_of(result), format=format, speakers=speakers) as sink:
        sink.write(result)


def plot(result: EmotionResult, path: str | os.PathLike[str] | None) -> Any:
    """The figure of a result, written to `path` as well if there is one."""
    figure = draw_timeline(result)
    if path is not None:
        save_figure(figure, os.fspath(path))
    return figure


def html(result: Result) -> str:
    """A result as notebooks show it."""
    return notebook.html(result)
