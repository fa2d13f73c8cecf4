"""Sinks opened from `-o` and `--format`."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from overtone.errors import Code, UsageError
from overtone.output.formats.csv import Csv
from overtone.output.formats.emotion_rows import EmotionRows
from overtone.output.formats.file_names import OutputNames
from overtone.output.formats.json_lines import JsonArray, JsonLines
from overtone.output.formats.output_file import Place, make_folder
from overtone.output.formats.parquet import Parquet
from overtone.output.formats.rttm import NO_SPEAKERS, Rttm
from overtone.output.formats.sink import Closing, Sink
from overtone.output.formats.table import Table
from overtone.output.formats.timeline_formats import AudacityLabels, PlainText, Srt, Vtt, single_input_error_text
from overtone.output.formats.transcript_rows import TranscriptRows
from overtone.output.records import DETAILS, Level
from overtone.results import Result
from overtone.wording import param

FORMATS = ("jsonl", "json", "csv", "parquet", "srt", "vtt", "txt", "rttm")
"""Names for `--format`, which are also the endings for `-o`."""

NAME = "{name}"
"""In `-o`: replaced by each input's name, which makes one file per input."""

_ONE_INPUT = ("srt", "vtt", "txt")
_ONE_TIMELINE = (*_ONE_INPUT, "rttm")


def check_sink(
    path: str | None,
    *,
    granularity: Level,
    format: str | None = None,
    append: bool = False,
    many: bool = False,
    speakers: bool = True,
) -> None:
    """Raise the UsageError of `open_sink` before there is anything to write. Makes nothing."""
    kind, template = _destination(path, format)
    if append and (kind != "jsonl" or template is not None or path is None):
        raise UsageError(f"only one .jsonl file can be resumed, not {path or 'standard output'} as {kind}")
    if kind == "rttm" and granularity in DETAILS and not speakers:
        raise UsageError(NO_SPEAKERS, code=Code.NO_SPEAKERS)
    if many and template is None and kind in _ONE_INPUT:
        raise UsageError(single_input_error_text(kind, path or "standard output"))
    if kind == "parquet":
        Parquet.check()


def open_sink(
    path: Place,
    *,
    granularity: Level,
    labels: Sequence[str] = (),
    format: str | None = None,
    append: bool = False,
    many: bool = False,
    speakers: bool = True,
) -> Sink:
    """Open the sink for `path`, or for standard output where it is None.

    - `path`: with `{name}` in it, or a folder (an existing one, or ending in `/`) together with `format`, it makes one
      file per input. An open file takes what each `write` adds, and the rest at the close, and is left open.
    - `granularity`: also says which results come: emotions, or transcripts.
    - `labels`: an emotion model's classes, for the columns of tables.
    - `format`: one of `FORMATS`; without it the ending of `path` decides (standard output: jsonl).
    - `append`: add to an existing .jsonl.
    - `many`: several results are to come.
    - `speakers`: transcripts name speakers.

    UsageError, before any work is done: unknown format, a folder without a format, a form that does not fit, an output
    that cannot be written, a missing extra.
    """
    named = path if isinstance(path, str) else None
    check_sink(named, granularity=granularity, format=format, append=append, many=many, speakers=speakers)
    kind, template = _destination(named, format)
    if template is not None:
        return SinkPerInput(template, kind, granularity, labels)
    return _make(path, kind, granularity, labels, append=append)


def existing_output(path: str, format: str | None = None) -> str | None:
    """The file with content that writing to `path`, as in `open_sink`, would replace or might; None for none."""
    _, template = _destination(path, format)
    pattern = "*".join(map(glob.escape, template.split(NAME) if template else [path]))
    return next((name for name in glob.iglob(pattern) if os.path.isfile(name) and os.path.getsize(name)), None)


def appends(path: str, format: str | None = None) -> bool:
    """True if writing to `path` is adding lines to one .jsonl, which a run goes on with by itself. UsageError for an
    output that cannot be."""
    return _destination(path, format) == ("jsonl", None)


def holds_errors(path: str, format: str | None = None) -> bool:
    """True if the form of an output has a place for inputs that failed; timelines have none. UsageError for an output
    that cannot be."""
    return _destination(path, format)[0] not in _ONE_TIMELINE


def name_of_all(path: str, format: str | None = None) -> str:
    """One name for all that writing to `path` makes: the file's, or the template of the files of a folder."""
    return _destination(path, format)[1] or path


class SinkPerInput(Closing):
    """Sink of one file for each result, named from its input; a name that is taken gets `-2`."""

    def __init__(self, template: str, kind: str, granularity: Level, labels: Sequence[str]) -> None:
        self._template = template
        self._names = OutputNames()
        self._skips_failed = kind in _ONE_TIMELINE
        self._open: Callable[[str], Sink] = lambda path: _make(path, kind, granularity, labels)
        make_folder(str(Path(template.split(NAME, 1)[0] + "x").parent))

    def write(self, result: Result) -> None:
        """Write the file of one result. A failed input has none in the forms of timelines."""
        name = self._names.claim(result)
        if result.ok or not self._skips_failed:
            with self._open(self._template.replace(NAME, name)) as sink:
                sink.write(result)

    def close(self) -> None:
        """Do nothing: no file is open between results."""


def _destination(path: str | None, format: str | None) -> tuple[str, str | None]:
    """The format, and the template of the files where there is one for each input."""
    folder = path is not None and NAME not in path and (path.endswith(os.sep) or os.path.isdir(path))
    kind = _kind(path, format, folder=folder)
    if path is None or not (folder or NAME in path):
        return kind, None
    return kind, os.path.join(path, f"{NAME}.{kind}") if folder else path


def _kind(path: str | None, format: str | None, *, folder: bool) -> str:
    known = "known formats: " + ", ".join(FORMATS)
    if format is not None:
        kind = format.lower().removeprefix(".")
        if kind not in FORMATS:
            raise UsageError(f"unknown format {format!r}; {known}")
        return kind
    if path is None:
        return "jsonl"
    if folder:
        raise UsageError(f"{path} is a folder: say with {param('format')} what to write there; {known}")
    kind = os.path.splitext(path)[1].lower().removeprefix(".")
    if kind not in FORMATS:
        raise UsageError(
            f"the ending of {path} names no known format; use {param('format')}, or one of these endings: "
            + " ".join("." + name for name in FORMATS)
        )
    return kind


def _make(path: Place, kind: str, level: Level, labels: Sequence[str], *, append: bool = False) -> Sink:
    if kind == "jsonl":
        return JsonLines(path, level, append=append)
    if kind == "json":
        return JsonArray(path, level)
    if kind == "csv":
        # A cell of CSV holds no list of words.
        return Csv(path, table_of("sentence" if level == "word" else level, labels))
    if kind == "parquet":
        return Parquet(path, table_of(level, labels))
    timelines: dict[str, Callable[[Place], Sink]] = {
        "srt": Srt,
        "vtt": Vtt,
        "txt": PlainText if level in DETAILS else AudacityLabels,
        "rttm": Rttm,
    }
    return timelines[kind](path)


def table_of(level: Level, labels: Sequence[str]) -> Table:
    """The table of results of that detail. labels: an emotion model's classes."""
    match level:
        case "text" | "sentence" | "word":
            return TranscriptRows(level)
        case _:
            return EmotionRows(level, labels)
