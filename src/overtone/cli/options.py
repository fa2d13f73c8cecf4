"""Command-line options made from `Options`, so that every command has the same ones, once described."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, Literal, Optional, TypeVar, get_type_hints

import typer

from overtone.cli.completion import complete_device, complete_model
from overtone.options import loading
from overtone.options.check import kinds_of
from overtone.options.emotion import HELP, Options
from overtone.options.transcription import TRANSCRIBE_HELP
from overtone.wording import flag

_Command = TypeVar("_Command", bound=Callable[..., Any])
_Options = TypeVar("_Options", bound=Options)

_SHORT = {"model": ["-m"], "memory": []}
_COMPLETED = {
    **dict.fromkeys(("model", "emotion", "transcriber", "speaker_model"), complete_model),
    **dict.fromkeys(
        ("device", "vad_device", "punctuation_device", "speaker_device", "emotion_device"), complete_device
    ),
}
_SIZES = ("memory", "max_upload", "uploads_size", "jobs_size", "cache_size")


def typer_command(command: Callable[..., int]) -> Callable[..., None]:
    """A command that returns its exit code, as typer wants it."""

    @functools.wraps(command)
    def run(*given: Any, **named: Any) -> None:
        raise typer.Exit(command(*given, **named))

    return run


def with_options(kind: type[Options], *, profile: bool = True) -> Callable[[_Command], _Command]:
    """Give a command that takes `**options` an option for every field of `kind` that there is to set, and `--profile`.

    None stands for "not given". profile: False for the command that makes one.
    """
    return lambda command: _with(command, [*([_profile()] if profile else []), *_model_options(kind)])


def with_settings(settings: type[Any], texts: Mapping[str, str], panel: str) -> Callable[[_Command], _Command]:
    """Give a command that takes `**options` those of `with_options`, after one for every field of `settings`."""
    return lambda command: _with(
        command, [*parameters_of(settings, texts, panel), _profile(), *_model_options(Options)]
    )


def _with(command: _Command, made: list[inspect.Parameter]) -> _Command:
    # Not get_type_hints: Python 3.10 then puts Optional around what is None by default, where typer finds no option.
    signature = inspect.signature(command, eval_str=True)
    own = [p for p in signature.parameters.values() if p.kind is not inspect.Parameter.VAR_KEYWORD]
    parameters = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own] + made
    command.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in parameters} | {"return": signature.return_annotation}
    return command


def resolve_options(kind: type[_Options], options: dict[str, Any]) -> _Options:
    """The options of a command: what was given, over the profile, the environment and the config file."""
    return loading.load(kind, **explicit_options(options))


def explicit_options(options: dict[str, Any]) -> dict[str, Any]:
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


def _model_options(kind: type[Options]) -> list[inspect.Parameter]:
    made = parameters_of(kind, HELP if kind is Options else TRANSCRIBE_HELP, "Model and work")
    return [option for option in made if option.name in kind.names()]


def parameters_of(settings: type[Any], texts: Mapping[str, str], panel: str) -> list[inspect.Parameter]:
    """An option for every field of a dataclass, which is None where it is not given. texts: what each is."""
    hints = get_type_hints(settings)
    return [_parameter(f.name, hints[f.name], f.default, texts[f.name], panel) for f in dataclasses.fields(settings)]


def _parameter(name: str, hint: Any, default: Any, text: str, panel: str) -> inspect.Parameter:
    kinds = [kind for kind in kinds_of(hint) if kind is not type(None)]
    flags = [*_SHORT.get(name, []), flag(name)]
    annotation: Any
    extra: dict[str, Any] = {"autocompletion": _COMPLETED[name]} if name in _COMPLETED else {}
    if all(isinstance(kind, str) for kind in kinds):
        annotation = Literal[tuple(kinds)]
    elif bool in kinds:
        annotation = bool
    elif str in kinds:
        annotation = str
        extra["metavar"] = "SIZE" if name in _SIZES else "TEXT"
    else:
        annotation = int if int in kinds else float
    shown = f" Default: {default:g}." if isinstance(default, float) else f" Default: {default}."
    if default is True:
        flags, shown = [f"{flag(name)}/--no-{name.replace('_', '-')}"], " Default: yes."
    text += "" if default in (None, False, "") else shown
    option = typer.Option(None, *flags, help=text, rich_help_panel=panel, **extra)
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=option,
        annotation=Optional[annotation],  # noqa: UP045 - typer reads it
    )
