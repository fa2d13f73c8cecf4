"""Output for a person: consoles, sizes and times, errors and notes."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Collection
from pathlib import Path

import typer
from rich.console import Console
from rich.markup import escape
from rich.measure import Measurement
from rich.table import Table

from overtone.results import Result
from overtone.system.terminal_text import escape_control_chars

# A file may be called `:smile:.wav`; it is shown as it is called.
out = Console(highlight=False, emoji=False)
err = Console(stderr=True, highlight=False, emoji=False)


class _Voice:
    """The log that errors and notes are written to; None where a person reads them."""

    log: logging.Logger | None = None


_WIDEST = 10_000
"""Characters of a line: more than any table has."""


def speak_through(log: logging.Logger | None) -> None:
    """Write errors and notes to a log from now on, where a machine reads them; None writes them for a person."""
    _Voice.log = log


def print_error(message: str) -> None:
    """One error, on standard error."""
    if _Voice.log is not None:
        _Voice.log.error(message)
        return
    err.print(f"[bold red]error:[/] {shown(message)}", soft_wrap=True)


def print_warning(message: str) -> None:
    """One fault that stopped nothing, on standard error."""
    if _Voice.log is not None:
        _Voice.log.warning(message)
        return
    err.print(f"[yellow]warning:[/] {shown(message)}", soft_wrap=True)


def print_warnings(result: Result) -> None:
    """The warnings of a source, once however many channels it has."""
    if result.channel in (None, 0):
        for warning in result.warnings:
            print_warning(f"{result.source}: {warning}")


def print_note(message: str) -> None:
    """One remark, on standard error."""
    if _Voice.log is not None:
        _Voice.log.info(message)
        return
    err.print(f"[dim]{shown(message)}[/]", soft_wrap=True)


def for_terminal(text: str) -> str:
    """Text that any terminal can take and none obeys: file names and labels may be anything."""
    encoding = sys.stderr.encoding or "utf-8"
    return escape_control_chars(text).encode(encoding, "backslashreplace").decode(encoding, "replace")


def shown(text: str) -> str:
    """Markup of text from anywhere, as it is shown: `[red]` in a name is a part of the name."""
    return escape(for_terminal(text))


def print_path(path: str | Path) -> None:
    """Print a path on standard output: exactly, or, for a person at a terminal, as it is shown."""
    typer.echo(for_terminal(str(path)) if sys.stdout.isatty() else os.fsencode(path))


def last_characters(name: str, width: int = 40) -> str:
    """A name by its last characters, in which files of one folder differ."""
    return name if len(name) <= width else "…" + name[1 - width :]


def plain_table(*columns: str, whole: Collection[str] = ()) -> Table:
    """A table without lines, its numbers to be aligned by the caller. whole: the columns whose cells keep to a line."""
    table = Table(box=None, pad_edge=False, header_style="bold", show_edge=False)
    for column in columns:
        name = column.lstrip(">")
        table.add_column(name, justify="right" if column.startswith(">") else "left", no_wrap=name in whole)
    return table


def print_whole(table: Table) -> None:
    """Print a table so that no cell is cut: on a terminal too narrow for it lines go on in the next."""
    needed = Measurement.get(out, out.options.update(max_width=_WIDEST), table)
    table.width = max(min(needed.maximum, out.width), needed.minimum) if out.is_terminal else needed.maximum
    out.print(table, soft_wrap=table.width > out.width)
