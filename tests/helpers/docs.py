"""Pages taken apart: their blocks of code, commands, and prose."""

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
