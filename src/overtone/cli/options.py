"""Command-line options made from `config.Options`, so that every command has the same ones, once described."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable
from typing import Any, Literal, Optional, TypeVar, get_type_hints

import typer

from overtone import config
from overtone.options import HELP, NAMES, Options, flag, kinds_of

_Command = TypeVar("_Command", bound=Callable[..., Any])

_SHORT = {"model": ["-m"], "memory": []}
_DEFAULTS = {field.name: field.default for field in dataclasses.fields(Options)}


def exits(command: Callable[..., int]) -> Callable[..., None]:
    """A command that returns its exit code, as typer wants it."""

    @functools.wraps(command)
    def run(*given: Any, **named: Any) -> None:
        raise typer.Exit(command(*given, **named))

    return run


def with_options(command: _Command) -> _Command:
    """Give a command that takes `**options` an option for every field of `Options`, and `--profile`.

    None stands for "not given".
    """
    return _with(command, [_profile(), *_model_options()])


def with_options_to_tune(command: _Command) -> _Command:
    """The same without `--profile`, for the command that makes one."""
    return _with(command, _model_options())


def _with(command: _Command, made: list[inspect.Parameter]) -> _Command:
    signature = inspect.signature(command)
    own = [p for p in signature.parameters.values() if p.kind is not inspect.Parameter.VAR_KEYWORD]
    own_hints = get_type_hints(command, include_extras=True)
    parameters = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=own_hints[p.name]) for p in own] + made
    command.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in parameters} | {"return": signature.return_annotation}
    return command


def chosen(options: dict[str, Any]) -> Options:
    """The options of a command: what was given, over the profile, the environment and the config file."""
    return config.load(**typed(options))


def typed(options: dict[str, Any]) -> dict[str, Any]:
    """Those options of a command that were given."""
    return {name: value for name, value in options.items() if value is not None}


def _profile() -> inspect.Parameter:
    text = "Take options from a file that `overtone tune` wrote; what is typed wins over it."
    option = typer.Option(None, "--profile", metavar="FILE", help=text, rich_help_panel="Model and work")
    return inspect.Parameter(
        "profile",
        inspect.Parameter.KEYWORD_ONLY,
        default=option,
        annotation=Optional[str],  # noqa: UP045 - typer reads it
    )


def _model_options() -> list[inspect.Parameter]:
    hints = get_type_hints(Options)
    return [_parameter(name, hints[name]) for name in NAMES]


def _parameter(name: str, hint: Any) -> inspect.Parameter:
    kinds = [kind for kind in kinds_of(hint) if kind is not type(None)]
    default = _DEFAULTS[name]
    flags = [*_SHORT.get(name, []), flag(name)]
    annotation: Any
    extra: dict[str, Any] = {}
    if all(isinstance(kind, str) for kind in kinds):
        annotation = Literal[tuple(kinds)]
    elif bool in kinds:
        annotation = bool
    elif str in kinds:
        annotation, extra["metavar"] = str, "SIZE" if name == "memory" else "TEXT"
    else:
        annotation = int if int in kinds else float
    shown = f" Default: {default:g}." if isinstance(default, float) else f" Default: {default}."
    text = HELP[name] + ("" if default is None or default is False else shown)
    option = typer.Option(None, *flags, help=text, rich_help_panel="Model and work", **extra)
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=option,
        annotation=Optional[annotation],  # noqa: UP045 - typer reads it
    )
