"""Pages taken apart: their blocks of code, commands, tables, and prose."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


def without_code(text: str) -> str:
    return re.sub(r"`[^`\n]*`", "", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL))


@dataclass(frozen=True)
class Block:
    line: int
    language: str
    options: str
    text: str

    @property
    def runs(self) -> bool:
        return self.language in ("python", "console") and "no-run" not in self.options


def blocks(page: Path) -> list[Block]:
    fenced = re.finditer(
        r"^```(\w*)[ \t]*([^\n]*)\n(.*?)^```[ \t]*$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
    return [Block(match.string.count("\n", 0, match.start(3)), match[1], match[2], match[3]) for match in fenced]


def same(expected: str, found: str) -> bool:
    known = [" ".join(part.split()) for part in re.split("…|[.]{3}", expected)]
    return re.fullmatch(" ?.* ?".join(map(re.escape, known)), " ".join(found.split())) is not None


def commands(text: str) -> Iterator[tuple[str, str]]:
    """Each `$ command`, its comment taken off, with the lines under it."""
    for part in re.split(r"^\$ ", text.replace("\\\n", " "), flags=re.MULTILINE)[1:]:
        command, _, expected = part.partition("\n")
        yield re.sub(r"\s+#\s.*", "", command).strip(), expected


@dataclass(frozen=True)
class Table:
    head: list[str]
    rows: list[list[str]]

    def columns(self, names: list[str]) -> set[tuple[str, ...]]:
        """The rows, of each the cells of those columns."""
        places = [self.head.index(name) for name in names]
        return {tuple(row[place] for place in places) for row in self.rows}


def tables(text: str) -> list[Table]:
    found = re.findall(r"^(\|.*\|)\n\|[-|: ]+\|\n((?:\|.*\|\n)+)", text, re.MULTILINE)
    return [Table(cells(head), [cells(row) for row in rows.splitlines()]) for head, rows in found]


def cells(row: str) -> list[str]:
    """The cells of a row of a table; one that is written `\\|` in it is no end of a cell."""
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", row.strip())[1:-1]]


def section(text: str, heading: str) -> str:
    """What stands under a heading of the second level."""
    found = re.search(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    assert found is not None, f"there is no heading {heading!r}"
    return found[1]


def code(text: str) -> list[str]:
    """All code that stands by itself, fenced or indented, in order."""
    found = re.findall(r"^```[^\n]*\n((?:.*\n)*?)```|^((?: {4}.*\n+)+)", text, re.MULTILINE)
    return [fenced or re.sub("^ {4}", "", block, flags=re.MULTILINE).rstrip("\n") + "\n" for fenced, block in found]
