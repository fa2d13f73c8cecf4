"""Docstrings: present where no protocol or base class has one already."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from helpers.paths import ROOT

FILES = sorted(path for folder in ("src", "bench", "training") for path in (ROOT / folder).rglob("*.py"))


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


def test_a_method_has_a_docstring_unless_the_one_it_overrides_has():
    """Ruff's D102 knows of overriding by a decorator only, which a class that fits a protocol cannot have."""
    found = [(path, node) for path in FILES for node in classes(ast.parse(path.read_text(encoding="utf-8")))]
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
