"""Methods of the reference without a docstring, with that of the base class: for griffe, which reads the package."""

from __future__ import annotations

from typing import Any

import griffe


class InheritedDocstrings(griffe.Extension):
    """Extension that gives a method that overrides another its docstring, as `help` does."""

    def on_package(self, *, pkg: griffe.Module, **_: Any) -> None:
        """Go through all classes, once the package is read."""
        _complete(pkg)

    def on_package_loaded(self, *, pkg: griffe.Module, **_: Any) -> None:
        """As `on_package`, by its name in griffe 1."""
        _complete(pkg)


def _complete(parent: griffe.Module | griffe.Class) -> None:
    for member in parent.members.values():
        if member.is_alias:
            continue
        if isinstance(member, griffe.Module | griffe.Class):
            _complete(member)
        elif isinstance(parent, griffe.Class) and isinstance(member, griffe.Function) and member.docstring is None:
            bases = (base.members.get(member.name) for base in parent.mro())
            member.docstring = next((base.docstring for base in bases if base is not None and base.docstring), None)
