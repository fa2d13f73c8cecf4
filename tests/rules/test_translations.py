"""Pages in two languages are in step: the same commands, figures, headings and links."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from helpers.docs import code, tables, without_code
from helpers.paths import DOCS, ROOT

PAIRS = [(ROOT / "README.md", ROOT / "README.zh-CN.md")]
PAIRS += [(DOCS / f"{name}.md", DOCS / f"{name}.zh.md") for name in ("index", "models", "funasr", "troubleshooting")]

pairs = pytest.mark.parametrize(("page", "chinese"), PAIRS, ids=lambda page: page.name)


def commands(text: str) -> list[str]:
    """All code that stands by itself, without comments, which are translated."""
    return [re.sub(r"[ \t]+# .*$", "", block, flags=re.MULTILINE) for block in code(text)]


def figures(text: str) -> list[list[list[tuple[list[str], list[str]]]]]:
    """Of each table and row the numbers and the code in each cell."""
    return [[[(numbers(cell), sorted(spans(cell))) for cell in row] for row in table.rows] for table in tables(text)]


def numbers(cell: str) -> list[str]:
    """Its figures, in whatever order a language has them; of code and links none."""
    return sorted(re.findall(r"\d[\d.,]*\d|\d", re.sub(r"`[^`]*`|\]\([^)]*\)", "", cell)))


def spans(text: str) -> list[str]:
    return re.findall(r"`[^`\n]+`", text)


def links(text: str) -> list[str]:
    """Where a page leads, whichever language that is in."""
    found = re.findall(r"\]\(([^)\s]+)\)", without_code(text))
    names = (re.sub(r"\.zh(-CN)?\.md", ".md", link) for link in found)
    return sorted(name for name in names if name != "README.md")  # the other language


def test_every_translation_is_held_to_its_original():
    translated = {*ROOT.glob("*.zh*.md"), *DOCS.rglob("*.zh*.md")}
    assert {chinese for _, chinese in PAIRS} == translated


@pairs
def test_code_is_the_same(page: Path, chinese: Path):
    there, here = (commands(one.read_text(encoding="utf-8")) for one in (page, chinese))
    assert here == there
    assert there or page.stem == "troubleshooting"


@pairs
def test_figures_of_tables_are_the_same(page: Path, chinese: Path):
    there, here = (figures(one.read_text(encoding="utf-8")) for one in (page, chinese))
    assert there
    assert here == there


@pairs
def test_headings_and_links_are_the_same(page: Path, chinese: Path):
    there, here = page.read_text(encoding="utf-8"), chinese.read_text(encoding="utf-8")
    assert links(here) == links(there)
    levels = [
        [len(marks) for marks in re.findall(r"^(#+) ", without_code(text), re.MULTILINE)] for text in (there, here)
    ]
    assert levels[0] == levels[1]
    where = [re.findall(r"^AMD .*$", text, re.MULTILINE) for text in (there, here)]
    assert where[0] == where[1]


@pairs
def test_what_is_typed_in_the_text_is_the_same(page: Path, chinese: Path):
    """Options, models and files that the text names: none is left out, and none is there that the original has not."""
    there, here = ({*spans(one.read_text(encoding="utf-8"))} for one in (page, chinese))
    assert here == there


def test_the_checks_notice():
    assert commands("```bash\na --b 1  # x\n```\n") == commands("```bash\na --b 1     # 注\n```\n")
    assert commands("\n\n    a --b 1\n") != commands("\n\n    a --b 2\n")
    row = "| a | b |\n|---|---|\n| 1.5 s, `x` | {} |\n"
    assert figures(row.format("2 MiB")) != figures(row.format("3 MiB"))
    assert figures(row.format("`x`")) != figures(row.format("`y`"))
    assert links("[a](docs/index.md)") == links("[b](docs/index.zh.md)") != links("[a](docs/api.md)")
