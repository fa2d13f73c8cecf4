"""Writes docs/troubleshooting.md, in both languages: every code of an error, its cause and its cure.

The codes, what a command exits with and what HTTP says come from the package; the texts from docs/codes.toml.

python docs/make_codes.py             # write docs/troubleshooting.md and docs/troubleshooting.zh.md
python docs/make_codes.py --check     # exit 1 if they are not current, or a code has no text
"""

from __future__ import annotations

import ast
import importlib
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import overtone
from overtone import errors
from overtone.errors import OvertoneError, RefusedError
from overtone.server.api import problems

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

HERE = Path(__file__).parent
TEXTS = HERE / "codes.toml"
PAGES = {"en": HERE / "troubleshooting.md", "zh": HERE / "troubleshooting.zh.md"}

Kind = type[OvertoneError]

_NAMES_ONE_FIRST = frozenset({"faults_as"})
"""Functions whose first argument is a code."""

_INSIDE = frozenset({"error", "refused"})
"""Codes of errors that always have a finer one."""

_GROUPS: Mapping[str, tuple[str, ...]] = {
    "input": ("InputError",),
    "call": ("UsageError",),
    "memory": ("BudgetError", "OutOfMemory"),
    "model": ("ModelError", "CheckpointError", "DownloadError", "DeviceError", "TrialError", "OvertoneError"),
    "service": ("RefusedError",),
}
"""Sections of the page, and what is raised of each."""


@dataclass(frozen=True)
class Code:
    """The kinds of errors that have a code, in the order of the tree; exits: whether a command may end over it."""

    kinds: list[Kind]
    exits: bool


def codes() -> dict[str, Code]:
    """Every code that a user may meet."""
    kinds, package = _kinds(), Path(overtone.__file__).parent
    found: dict[str, set[str]] = {_text(kind.default_code): {name} for name, kind in kinds.items()}
    exits = {*found}
    for code in map(_text, [*problems.STATUSES, *getattr(errors, "Code", ())]):
        found.setdefault(code, set())
    for path in sorted(package.rglob("*.py")):
        for kind, code in _raised(ast.parse(path.read_text(encoding="utf-8"))):
            found.setdefault(code, set()).update({kind} & kinds.keys())
            if not path.is_relative_to(package / "server") or kind in ("UsageError", "ModelError"):
                exits.add(code)
    order = [*kinds]
    return {
        code: Code([kinds[name] for name in sorted(names, key=order.index)] or [RefusedError], code in exits)
        for code, names in sorted(found.items())
        if code not in _INSIDE
    }


def _text(code: str) -> str:
    """A code as it is written, be it a text or a member of an enumeration of texts."""
    return str(getattr(code, "value", code))


def _kinds() -> dict[str, Kind]:
    """The tree of errors by name, parents first; also what other modules have added to it."""
    importlib.import_module("overtone.tools.tuning.trial")  # has one of its own

    def below(kind: Kind) -> Iterator[Kind]:
        yield kind
        for one in kind.__subclasses__():
            yield from below(one)

    package = overtone.__name__ + "."
    return {kind.__name__: kind for kind in below(OvertoneError) if kind.__module__.startswith(package)}


def _raised(module: ast.Module) -> Iterator[tuple[str, str]]:
    """What is called with a code, and the code, be it a text, a constant of the file or a name of `errors.Code`."""
    constants = {
        target.id: node.value.value
        for node in module.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for node in ast.walk(module):
        if not isinstance(node, ast.Call):
            continue
        name = getattr(node.func, "id", getattr(node.func, "attr", ""))
        given = [word.value for word in node.keywords if word.arg == "code"]
        if name in _NAMES_ONE_FIRST:
            name, given = "InputError", node.args[:1]
        for value in given:
            yield from ((name, code) for code in _codes_of(value, constants))


def _codes_of(value: ast.expr, constants: Mapping[str, str]) -> Iterator[str]:
    if isinstance(value, ast.Constant) and isinstance(value.value, str):
        yield value.value
    elif isinstance(value, ast.Name) and value.id in constants:
        yield constants[value.id]
    elif isinstance(value, ast.Attribute) and getattr(value.value, "id", getattr(value.value, "attr", "")) == "Code":
        yield _text(errors.Code[value.attr])  # type: ignore[attr-defined] # where there are such names, they are there
    elif isinstance(value, ast.IfExp):
        yield from _codes_of(value.body, constants)
        yield from _codes_of(value.orelse, constants)


def texts() -> dict[str, dict[str, str]]:
    """Cause and cure of each code in both languages: `cause`, `cure`, `cause_zh`, `cure_zh`. `_en` and `_zh` have what
    stands above the tables, their titles and columns."""
    said: dict[str, dict[str, str]] = tomllib.loads(TEXTS.read_text(encoding="utf-8"))
    return said


def page(language: str) -> str:
    """The whole page. Raises LookupError for a code without texts, or texts without a code."""
    found, said = codes(), texts()
    titles = {page: said.pop(f"_{page}") for page in PAGES}[language]
    if found.keys() != said.keys():
        without, none = found.keys() - said.keys(), said.keys() - found.keys()
        raise LookupError(f"docs/codes.toml: these codes have no text: {without}; these texts no code: {none}")
    parts = [titles["head"]]
    suffix = "" if language == "en" else f"_{language}"
    for group, names in _GROUPS.items():
        rows = [
            _row(name, code, said[name][f"cause{suffix}"], said[name][f"cure{suffix}"])
            for name, code in found.items()
            if code.kinds[0].__name__ in names
        ]
        parts.append(f"## {titles[group]}\n\n{titles['columns']}\n|---|---|---|---|---|\n" + "\n".join(rows) + "\n")
    return "\n".join(parts)


def _row(name: str, code: Code, cause: str, cure: str) -> str:
    made = [kind("", code=name) for kind in code.kinds]
    served = [error for error in made if ".tools." not in type(error).__module__]
    exits = ", ".join(map(str, sorted({error.exit_code for error in made}))) if code.exits else ""
    statuses = ", ".join(map(str, sorted({problems.status_of(error) for error in served})))
    return f"| `{name}` | {exits} | {statuses} | {cause} | {cure} |"


def main(arguments: list[str]) -> int | str:
    """The exit code, or what is wrong."""
    if "--check" in arguments:
        for language, path in PAGES.items():
            if not path.is_file() or path.read_text(encoding="utf-8") != page(language):
                return f"docs/{path.name} is not current"
        return 0
    for language, path in PAGES.items():
        path.write_text(page(language), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
