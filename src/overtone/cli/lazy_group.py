"""Commands that are imported when they are run: a start pays for the one that was asked for."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import typer
from typer.core import TyperGroup
from typer.main import get_command, get_group

COMMANDS: Mapping[str, str] = {
    "emotion": "emotion",
    "transcribe": "transcribe",
    "info": "info",
    "plan": "plan",
    "profile": "profile",
    "tune": "tune",
    "bench": "bench",
    "doctor": "doctor",
    "serve": "serve",
    "top": "top.command",
    "models": "models",
    "keys": "keys",
}
"""Module of each command, within this package, in the order of the help. It has the command's function, or the
`typer.Typer` of its commands, under the command's name."""


def command(name: str) -> Callable[..., None] | typer.Typer:
    """A command's function, as typer wants it, or the group of its commands; its module is imported."""
    # As in `overtone.cli.main`: a library that cannot be loaded is said once, and in words.
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        from overtone.cli.options import typer_command

        found = getattr(importlib.import_module(f"{__package__}.{COMMANDS[name]}"), name)
    finally:
        logging.disable(before)
    return found if isinstance(found, typer.Typer) else typer_command(found)


class LazyCommands(Mapping[str, Any]):
    """Click's commands by name, each made when it is looked up."""

    def __getitem__(self, name: str) -> Any:
        if name not in COMMANDS:
            raise KeyError(name)
        found = command(name)
        if isinstance(found, typer.Typer):
            return get_group(found)
        alone = typer.Typer(add_completion=False)
        alone.command(name)(found)
        return get_command(alone)

    def __iter__(self) -> Iterator[str]:
        return iter(COMMANDS)

    def __len__(self) -> int:
        return len(COMMANDS)


class LazyGroup(TyperGroup):
    """The root of the command line, whose commands are `COMMANDS`."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**{**attributes, "commands": LazyCommands()})

    def list_commands(self, ctx: Any) -> list[str]:
        """Names of the commands; none of them is imported."""
        return list(self.commands)
