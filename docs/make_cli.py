"""Writes docs/cli.md from the commands themselves: the texts that `--help` shows, the same on every machine.

python docs/make_cli.py             # write docs/cli.md
python docs/make_cli.py --check     # exit 1 if it is not current
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from typer import Typer
from typer.models import ArgumentInfo, OptionInfo

from overtone.cli.app import app
from overtone.cli.lazy_group import COMMANDS, command
from overtone.options.emotion import Options
from overtone.wording import flag

PAGE = Path(__file__).with_name("cli.md")

_HEAD = """\
# The command line

<!-- Made by docs/make_cli.py from the commands' own help (`make docs`); change the help, not this page. -->

{help}

| command | what it does |
|---|---|
{commands}

Every command takes `--help`; `overtone -V` prints the version, and `overtone --install-completion` sets up the
shell's completion, of models, devices and names of keys, too. Exit codes: 0 all done; 1 some inputs failed, the rest
done; 2 usage; 3 the budget cannot hold it; 4 model or device; 130 interrupted (what was done is written).
"""

_SHARED = """\
## Model and work

The options that `emotion`, `plan`, `profile`, `bench` and `tune` share. Each can also be set in the config file under
its name (`max_segment = 20.0`), in the environment (`OVERTONE_MAX_SEGMENT=20`) and in a profile (`--profile`, a file
like the config file, as `overtone tune` writes it); what is typed wins over the profile, the profile over the
environment, and the environment over the config file. That is `overtone/overtone.toml` in the user's configuration
folder, or what `OVERTONE_CONFIG` names; `OVERTONE_CACHE` names the folder for what is kept between runs (converted
and compiled models, measured costs, and hashes of files).

"""


def page() -> str:
    """The whole page."""
    commands = [found for name in COMMANDS for found in _commands(name)]
    listed = "\n".join(f"| [`overtone {name}`](#{_anchor(name)}) | {_text(call)} |" for name, call in commands)
    parts = [_HEAD.format(help=app.info.help, commands=listed)]
    parts += [_command(name, call) for name, call in commands]
    shared = dict(commands)["emotion"]
    parts.append(_SHARED + _table(row for row in _parameters(shared) if row[0] in Options.names()))
    return "\n".join(parts)


def _commands(name: str) -> Iterator[tuple[str, Callable[..., Any]]]:
    """A command, or each command of a group, by its whole name."""
    found = command(name)
    if not isinstance(found, Typer):
        yield name, found
        return
    for info in found.registered_commands:
        assert info.callback is not None
        yield f"{name} {info.name or info.callback.__name__}", info.callback


def _command(name: str, call: Callable[..., Any]) -> str:
    all_of_them = list(_parameters(call))
    shares = {*Options.names()} <= {n for n, *_ in all_of_them}
    own = [parameter for parameter in all_of_them if not (shares and parameter[0] in Options.names())]
    arguments = [(n, hint, info) for n, hint, info in own if isinstance(info, ArgumentInfo)]
    typed = [_typed(n, hint) for n, hint, _ in arguments]
    lines = [f"## overtone {name}", "", _text(call), ""]
    lines += [f"    overtone {' '.join([name, *typed, '[OPTIONS]'])}", ""]
    if own:
        lines.append(_table(own).rstrip("\n"))
        lines.append("")
    if shares:
        lines += ["And those of [model and work](#model-and-work).", ""]
    return "\n".join(lines)


def _typed(name: str, hint: Any) -> str:
    """An argument as it is typed: `MODEL`, `INPUTS...` where there may be many, `[FILES]...` where none will do."""
    bare = _without_none(hint)
    shown = f"[{name.upper()}]" if bare is not hint else name.upper()
    return shown + ("..." if get_origin(bare) is list else "")


def _without_none(hint: Any) -> Any:
    """The type behind `Optional`, however that is spelt; any other as it is."""
    if get_origin(hint) not in (Union, UnionType):
        return hint
    return next(kind for kind in get_args(hint) if kind is not type(None))


def _parameters(call: Callable[..., Any]) -> Iterator[tuple[str, Any, OptionInfo | ArgumentInfo]]:
    """Name, type and description of each parameter, from its annotation or, as `with_options` has it, its default."""
    # Not get_type_hints: Python 3.10 then puts Optional around what is None by default.
    own = inspect.signature(inspect.unwrap(call), eval_str=True).parameters
    for name, parameter in inspect.signature(call).parameters.items():
        hint = own.get(name, parameter).annotation
        info: Any = parameter.default
        if get_origin(hint) is Annotated:
            hint, info = get_args(hint)[:2]
        yield name, hint, info


def _flags(name: str, info: OptionInfo | ArgumentInfo) -> list[str]:
    """`-o`, `--output`; the name of an argument."""
    if isinstance(info, ArgumentInfo):
        return [name.upper()]
    # In an annotation the first of several flags stands where the default would.
    first = [info.default] if isinstance(info.default, str) and info.default.startswith("-") else []
    return [*first, *(info.param_decls or ())] or [flag(name)]


def _table(rows: Iterable[tuple[str, Any, OptionInfo | ArgumentInfo]]) -> str:
    lines = ["| | takes | |", "|---|---|---|"]
    for name, hint, info in rows:
        flags = ", ".join(f"`{typed}`" for typed in _flags(name, info))
        text = (info.help or "").replace("|", "\\|")
        lines.append(f"| {flags} | {_kind(hint, info)} | {text} |")
    return "\n".join(lines) + "\n"


def _kind(hint: Any, info: OptionInfo | ArgumentInfo) -> str:
    """What is to be typed after an option."""
    hint = _without_none(hint)
    if get_origin(hint) is Literal:
        return ", ".join(f"`{choice}`" for choice in get_args(hint))
    if hint is bool or isinstance(info, ArgumentInfo):
        return ""
    return info.metavar or {int: "WHOLE NUMBER", float: "NUMBER"}.get(hint, "TEXT")


def _text(call: Callable[..., Any]) -> str:
    return " ".join((inspect.getdoc(call) or "").split())


def _anchor(name: str) -> str:
    return "overtone-" + name.replace(" ", "-")


if __name__ == "__main__":
    if "--check" in sys.argv[1:]:
        sys.exit(0 if PAGE.is_file() and PAGE.read_text(encoding="utf-8") == page() else "docs/cli.md is not current")
    PAGE.write_text(page(), encoding="utf-8")
