"""What makes a site of pages that are written to be read in the repository: for mkdocs, which calls these functions.

Pages link to what lies beside docs/: examples, benchmarks, the changelog. So the site is built from a copy of docs/, in
which all of that stands under `repository/`, with what it links to in turn, and links are turned to where things are.
"""

from __future__ import annotations

import posixpath
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig

ROOT = Path(__file__).parents[1]
DOCS = "docs/"
BESIDE = "repository/"
"""Folder of the site for what is not in docs/."""

ALWAYS = ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")
"""Pages beside docs/ that the navigation has."""

_PAGES = (".md", ".png")
_CODE = re.compile(r"(^ *```.*?^ *```|`[^`\n]*`)", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(\]\()([^)\s]+)(\))")
_NO_RUN = re.compile(r"^(```\w+) no-run$", re.MULTILINE)
"""What a test heeds, and mkdocs does not know."""

_copy = tempfile.TemporaryDirectory(prefix="overtone-docs-")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Have the site built from the copy."""
    folder = Path(_copy.name)
    waiting = [*ALWAYS, *_own()]
    known: set[str] = set()
    while waiting:
        path = waiting.pop()
        if path in known:
            continue
        known.add(path)
        copy = folder / _in_site(path)
        copy.parent.mkdir(parents=True, exist_ok=True)
        if path.endswith(".md"):
            text = (ROOT / path).read_text(encoding="utf-8")
            waiting += _linked(path, text)
            copy.write_text(turned(path, text), encoding="utf-8")
        else:
            shutil.copyfile(ROOT / path, copy)
    config.docs_dir = str(folder)
    return config


def turned(path: str, text: str) -> str:
    """A page of the repository with its links turned to where things are in the site."""
    here = posixpath.dirname(_in_site(path)) or "."

    def to_site(link: re.Match[str]) -> str:
        found = _target(path, link[2])
        if found is None:
            return link[0]
        _, sharp, anchor = link[2].partition("#")
        return f"{link[1]}{posixpath.relpath(_in_site(found), here)}{sharp}{anchor}{link[3]}"

    parts = _CODE.split(_NO_RUN.sub(r"\1", text))
    return "".join(part if at % 2 else _LINK.sub(to_site, part) for at, part in enumerate(parts))


def _own() -> Iterator[str]:
    for path in sorted((ROOT / DOCS).rglob("*")):
        if path.suffix in _PAGES:
            yield path.relative_to(ROOT).as_posix()


def _linked(path: str, text: str) -> Iterator[str]:
    """Files of the repository, but for those of docs/, that a page of it links to."""
    for _, link, _ in _LINK.findall(_CODE.sub("", text)):
        found = _target(path, link)
        if found and not found.startswith(DOCS) and (ROOT / found).is_file():
            yield found


def _target(path: str, link: str) -> str | None:
    """The file of the repository that a link of a page leads to; None for one that leaves it or stays on the page."""
    target = link.partition("#")[0]
    if not target or re.match(r"[a-z]+:", target):
        return None
    found = posixpath.normpath(posixpath.join(posixpath.dirname(path), target))
    return posixpath.join(found, "README.md") if (ROOT / found).is_dir() else found


def _in_site(path: str) -> str:
    return path.removeprefix(DOCS) if path.startswith(DOCS) else BESIDE + path
