"""Output for a person: consoles, sizes and times, errors and notes."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.markup import escape
from rich.measure import Measurement
from rich.table import Table

# A file may be called `:smile:.wav`; it is shown as it is called.
out = Console(highlight=False, emoji=False)
err = Console(stderr=True, highlight=False, emoji=False)

_WIDEST = 10_000
"""Characters of a line: more than any table has."""


def print_error(message: str) -> None:
    """One error, on standard error."""
    err.print(f"[bold red]error:[/] {escape(for_terminal(message))}", soft_wrap=True)


def print_note(message: str) -> None:
    """One remark, on standard error."""
    err.print(f"[dim]{escape(for_terminal(message))}[/]", soft_wrap=True)


def for_terminal(text: str) -> str:
    """Text that any terminal can take: file names need not be valid text."""
    encoding = sys.stderr.encoding or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding, "replace")


def last_characters(name: str, width: int = 40) -> str:
    """A name by its last characters, in which files of one folder differ."""
    return name if len(name) <= width else "…" + name[1 - width :]


def plain_table(*columns: str) -> Table:
    """A table without lines, its numbers to be aligned by the caller."""
    table = Table(box=None, pad_edge=False, header_style="bold", show_edge=False)
    for column in columns:
        table.add_column(column.lstrip(">"), justify="right" if column.startswith(">") else "left")
    return table


def print_whole(table: Table) -> None:
    """Print a table; where no terminal has a width, at its own, so that no cell is cut."""
    if not out.is_terminal:
        table.width = Measurement.get(out, out.options.update(max_width=_WIDEST), table).maximum
    out.print(table, soft_wrap=not out.is_terminal)
