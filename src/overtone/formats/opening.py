"""From `-o` and `--format` to the sink that writes it."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from overtone.errors import UsageError
from overtone.formats.csv_text import Csv
from overtone.formats.json_text import JsonArray, JsonLines
from overtone.formats.names import Names
from overtone.formats.parquet import Parquet
from overtone.formats.sink import Closing, Sink
from overtone.formats.target import make_folder
from overtone.formats.timeline import AudacityLabels, Rttm, Srt, Vtt, many_message
from overtone.values import EmotionResult, Granularity

FORMATS = ("jsonl", "json", "csv", "parquet", "srt", "vtt", "txt", "rttm")
"""Names for `--format`, which are also the endings for `-o`."""

NAME = "{name}"
"""In `-o`: replaced by each input's name, which makes one file per input."""

_ONE_INPUT = ("srt", "vtt", "txt")
_ONE_TIMELINE = (*_ONE_INPUT, "rttm")


def open_sink(
    path: str | None,
    *,
    granularity: Granularity,
    labels: Sequence[str],
    format: str | None = None,
    append: bool = False,
    many: bool = False,
) -> Sink:
    """The sink for `path`, or for standard output where it is None.

    `format`: one of `FORMATS`; without it the ending of `path` decides (standard output: jsonl).
    A `path` with `{name}` in it, or a folder (an existing one, or ending in `/`) together with `format`,
    makes one file per input. `labels`: the model's classes, for the columns of tables.
    `append`: add to an existing .jsonl. `many`: several results are to come, so refuse a form that cannot
    hold them before any work is done.

    UsageError: unknown format, a folder without a format, a form that does not fit, an output that
    cannot be written, a missing extra.
    """
    kind, template = _destination(path, format)
    if append and (kind != "jsonl" or template is not None or path is None):
        raise UsageError(f"only one .jsonl file can be resumed, not {path or 'standard output'} as {kind}")
    if template is not None:
        return SinkPerInput(template, kind, granularity, labels)
    if many and kind in _ONE_INPUT:
        raise UsageError(many_message(kind, path or "standard output"))
    return _make(path, kind, granularity, labels, append=append)


def already_there(path: str, format: str | None = None) -> str | None:
    """A file with something in it that writing to `path`, as in `open_sink`, would replace or might; None for none."""
    _, template = _destination(path, format)
    pattern = "*".join(map(glob.escape, template.split(NAME) if template else [path]))
    return next((name for name in glob.iglob(pattern) if os.path.isfile(name) and os.path.getsize(name)), None)


class SinkPerInput(Closing):
    """One file for each result, named from its input; a name that is taken gets `-2`."""

    def __init__(self, template: str, kind: str, granularity: Granularity, labels: Sequence[str]) -> None:
        self._template = template
        self._names = Names()
        self._skips_failed = kind in _ONE_TIMELINE
        self._open: Callable[[str], Sink] = lambda path: _make(path, kind, granularity, labels)
        if kind == "parquet":
            Parquet.check()
        make_folder(str(Path(template.split(NAME, 1)[0] + "x").parent))

    def write(self, result: EmotionResult) -> None:
        """Write the file of one result. A failed input has none in the forms of timelines."""
        name = self._names.take(result)
        if result.ok or not self._skips_failed:
            with self._open(self._template.replace(NAME, name)) as sink:
                sink.write(result)

    def close(self) -> None:
        """Nothing is left open between results."""


def _destination(path: str | None, format: str | None) -> tuple[str, str | None]:
    """The format, and the template of the files where there is one for each input."""
    folder = path is not None and NAME not in path and (path.endswith(os.sep) or os.path.isdir(path))
    kind = _kind(path, format, folder)
    if path is None or not (folder or NAME in path):
        return kind, None
    return kind, os.path.join(path, f"{NAME}.{kind}") if folder else path


def _kind(path: str | None, format: str | None, folder: bool) -> str:
    known = "known formats: " + ", ".join(FORMATS)
    if format is not None:
        kind = format.lower().removeprefix(".")
        if kind not in FORMATS:
            raise UsageError(f"unknown format {format!r}; {known}")
        return kind
    if path is None:
        return "jsonl"
    if folder:
        raise UsageError(f"{path} is a folder: say with --format what to write there; {known}")
    kind = os.path.splitext(path)[1].lower().removeprefix(".")
    if kind not in FORMATS:
        raise UsageError(
            f"the ending of {path} names no known format; use --format, or one of these endings: "
            + " ".join("." + name for name in FORMATS)
        )
    return kind


def _make(
    path: str | None, kind: str, granularity: Granularity, labels: Sequence[str], *, append: bool = False
) -> Sink:
    if kind == "jsonl":
        return JsonLines(path, granularity, append=append)
    if kind == "json":
        return JsonArray(path, granularity)
    if kind == "csv":
        return Csv(path, granularity, labels)
    if kind == "parquet":
        return Parquet(path, granularity, labels)
    timelines: dict[str, Callable[[str | None], Sink]] = {
        "srt": Srt,
        "vtt": Vtt,
        "txt": AudacityLabels,
        "rttm": Rttm,
    }
    return timelines[kind](path)
