"""Docstrings: their words are the field's, and they are there where no protocol or base class has one already."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from helpers.paths import ROOT

FILES = sorted(path for folder in ("src", "bench", "training") for path in (ROOT / folder).rglob("*.py"))

RULES = {
    # A docstring begins with a noun or a verb: it says what the caller gets, and asks nothing.
    "begins with a noun or a verb": re.compile(
        r"\A\s*(for )?(what|who|whom|whose|whether|where|when|which|how|why|what ?ever|whoever|whenever|wherever)\b",
        re.IGNORECASE,
    ),
    "has the field's words": re.compile(
        r"\b(told|nobody|what\s+is|of\s+(its|his|their|our|your|one's)\s+own)\b", re.IGNORECASE
    ),
    "says it itself": re.compile(r"\A\s*See `[^`]*`\.\s*\Z"),
    # recognizer, normalize, color: as the API has them.
    "is spelled as the API is": re.compile(
        r"(recognis|normalis|quantis|optimis|colour|neighbour|behaviour|favour)\w*", re.IGNORECASE
    ),
}

# Not gone through yet. Where all files of a line are clean, or gone, the line has to go.
PENDING = ("src/overtone/server/ui",)

DECORATORS = {"typer_command", "with_options", "with_transcription_options", "with_tuning_options", "with_settings"}
METHODS = {"command", "callback", "get", "post", "put", "delete", "websocket"}


def is_shown(node: ast.AST) -> bool:
    """True where users see the docstring: as a command's help, or in OpenAPI as the text of a route or a schema."""
    if isinstance(node, ast.ClassDef):
        return "BaseModel" in bases(node) or any(base.endswith("Schema") for base in bases(node))
    marks = [mark.func if isinstance(mark, ast.Call) else mark for mark in getattr(node, "decorator_list", [])]
    return any(
        (isinstance(mark, ast.Name) and mark.id in DECORATORS)
        or (isinstance(mark, ast.Attribute) and mark.attr in METHODS)
        for mark in marks
    )


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def docstrings(path: Path) -> list[tuple[int, str]]:
    """Line and text of each, of those below constants and attributes too.

    They are kept, and the trees are not: those of all files are millions of objects, which every later collection of
    garbage would go through.
    """
    found = []
    nodes: list[ast.AST] = [parsed(path)]
    while nodes:
        node = nodes.pop()
        if is_shown(node):
            continue
        nodes += ast.iter_child_nodes(node)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            found.append((node.lineno, node.value.value))
    return found


def faults(path: Path, rule: str) -> list[str]:
    where = path.relative_to(ROOT)
    matches = [(line, RULES[rule].search(text)) for line, text in docstrings(path)]
    return [f"{where}:{line} {match[0].strip()!r}" for line, match in sorted(matches) if match]


def is_pending(path: Path) -> bool:
    return any(path.is_relative_to(ROOT / name) for name in PENDING)


@pytest.mark.parametrize("rule", RULES)
def test_a_docstring(rule: str) -> None:
    found = [fault for path in FILES if not is_pending(path) for fault in faults(path, rule)]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("name", PENDING)
def test_what_is_pending_is_not_clean(name: str) -> None:
    files = [path for path in FILES if path.is_relative_to(ROOT / name)]
    assert any(faults(path, rule) for path in files for rule in RULES), f"{name} can be taken off the list"


def test_a_file_that_a_docstring_names_exists() -> None:
    """From the folder of the file that names it, the package's, or the repository's."""
    missing = [
        f"{path.relative_to(ROOT)}:{line} {name}"
        for path in (*FILES, *(ROOT / "tests").rglob("*.py"))
        for line, text in docstrings(path)
        for name in re.findall(r"`([\w./-]+\.(?:py|md))`", text)
        if not any((folder / name).is_file() for folder in (path.parent, ROOT / "src" / "overtone", ROOT))
    ]
    assert not missing, "\n".join(missing)


def classes(tree: ast.AST) -> Iterator[ast.ClassDef]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.ClassDef):
            yield node
            yield from classes(node)


def bases(node: ast.ClassDef) -> set[str]:
    return {ast.unparse(base).partition("[")[0].rpartition(".")[2] for base in node.bases}


def methods(node: ast.ClassDef, *, described: bool) -> dict[str, int]:
    """Public methods with a docstring, or those without, and their lines. A setter's is that of the property."""
    return {
        child.name: child.lineno
        for child in node.body
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)
        and not child.name.startswith("_")
        and not any(isinstance(mark, ast.Attribute) and mark.attr == "setter" for mark in child.decorator_list)
        and (ast.get_docstring(child) is not None) is described
    }


def test_a_method_has_a_docstring_unless_the_one_it_overrides_has() -> None:
    """Ruff's D102 knows of overriding by a decorator only, which a class that fits a protocol cannot have."""
    found = [(path, node) for path in FILES for node in classes(parsed(path))]
    by_class: dict[str, set[str]] = {}
    for _, node in found:
        by_class.setdefault(node.name, set()).update(methods(node, described=True))
    by_protocol = {name for _, node in found if "Protocol" in bases(node) for name in methods(node, described=True)}
    bare = [
        f"{path.relative_to(ROOT)}:{line} {node.name}.{name}"
        for path, node in found
        if not node.name.startswith("_")
        for name, line in methods(node, described=False).items()
        if name not in by_protocol.union(*(by_class.get(base, set()) for base in bases(node)))
    ]
    assert not bare, "\n".join(bare)
