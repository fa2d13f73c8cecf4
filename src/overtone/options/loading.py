"""Sources of options: a file, the environment, a profile, the call. They are read here and nowhere else.

Order, later wins: defaults, the config file, `OVERTONE_*` variables, a profile, what the call or command says. The
file is `overtone.toml` in the user's configuration folder, or what `OVERTONE_CONFIG` names: `model = "plus-large"`. A
profile is a file of the same form, named in the call; `overtone tune` writes one.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import platformdirs

from overtone.errors import UsageError
from overtone.options.check import check_names, parse
from overtone.options.emotion import INSIDE, Options
from overtone.options.transcription import TranscribeOptions
from overtone.system.documents import DocumentError, read_text, shown
from overtone.wording import param, params_in

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # the same module, before it came with Python

_PREFIX = "OVERTONE_"
_LARGEST, _LONGEST_LINE = 64 << 10, 4096
"""Bytes of a file of options, and characters of a line: twenty times one that sets everything, and a path of any
length."""

_MOST_BITS = 63

_NOT_OPTIONS = ("CACHE", "CONFIG", "KEY")

SERVICE = _PREFIX + "SERVE_"
"""Prefix of the variables of `overtone serve`; they are none of the options."""

RECOGNIZER = "recognizer"
"""Name of `model` of transcription where other options are, too."""

_STORED: Mapping[str, Any] = {**get_type_hints(TranscribeOptions), RECOGNIZER: str}
"""Names that a file or the environment may give, with their types."""

_Options = TypeVar("_Options", bound=Options)

_Stored = dict[str, tuple[Any, str]]
"""Values by the option's name, each with the place that it was read from."""


def load(kind: type[_Options], *, profile: str | os.PathLike[str] | None = None, **given: Any) -> _Options:
    """Options from the config file, the environment, the file `profile` and `given`, in that order.

    kind: `Options`, or `TranscribeOptions`, whose `model` is called `recognizer` in a file or the environment
    (`OVERTONE_RECOGNIZER`), where `model` is an emotion model.
    UsageError names the fault, and the variable or the file that has it.
    """
    check_names(given, kind.names())
    stored = {**_settings(), **({} if profile is None else _from_profile(Path(profile)))}
    if kind is TranscribeOptions:
        stored.pop("model", None)
        if RECOGNIZER in stored:
            stored["model"] = stored[RECOGNIZER]
    elif "vad" in stored and stored["vad"][0] not in INSIDE:
        del stored["vad"]  # a detector for transcription
    return _made(kind, {name: value for name, value in stored.items() if name in kind.names()}, given)


def _made(kind: type[_Options], stored: _Stored, given: Mapping[str, Any]) -> _Options:
    stored = {name: value for name, value in stored.items() if name not in given}
    try:
        return kind(**_values(stored), **given)
    except UsageError as error:
        named = (where for name, (_, where) in stored.items() if name in params_in(error.template))
        if not (places := " and ".join(dict.fromkeys(named))):
            raise
        raise UsageError(f"{places}: {error.template}") from error


def settings() -> dict[str, Any]:
    """Options of the config file and the environment, by name. UsageError names the fault."""
    return {name: value for name, value in _values(_settings()).items() if name in Options.names()}


def _settings() -> _Stored:
    return {**_from_file(), **_from_environment(os.environ)}


def _values(stored: _Stored) -> dict[str, Any]:
    return {name: value for name, (value, _) in stored.items()}


def environment_of(prefix: str, settings: type[Any]) -> dict[str, Any]:
    """Fields of a dataclass from the variables that begin with `prefix`. UsageError names the variable."""
    return _values(_parsed(os.environ, prefix, get_type_hints(settings)))


def cache_folder() -> Path:
    """Folder of everything that Overtone can make again."""
    return Path(os.environ.get(_PREFIX + "CACHE") or platformdirs.user_cache_dir("overtone"))


def environment(*names: str) -> str | None:
    """Value of the first of these environment variables that is set; None if none is."""
    return next((os.environ[name] for name in names if name in os.environ), None)


def _from_file() -> _Stored:
    named = os.environ.get(_PREFIX + "CONFIG")
    path = Path(named or Path(platformdirs.user_config_dir("overtone")) / "overtone.toml")
    if not path.is_file():
        if named:
            raise UsageError(f"OVERTONE_CONFIG names {named}, which is no file.")
        return {}
    return _read(path, str(path))


def _from_profile(path: Path) -> _Stored:
    if not path.is_file():
        raise UsageError(f"{path} is no profile: there is no such file; make one with `overtone tune FILES -o {path}`.")
    return _read(path, f"the profile {path}")


def _read(path: Path, where: str) -> _Stored:
    """The options in a file, called `where` in messages. UsageError where it cannot be read or holds anything else."""
    try:
        values = _toml(read_text(path, _LARGEST))
        check_names(values, tuple(_STORED))
        for name, value in values.items():
            if isinstance(value, int) and value.bit_length() > _MOST_BITS:
                raise UsageError(f"{param(name)} is {shown(value)}; TOML's integers have {_MOST_BITS + 1} bits.")
        return {name: (value, where) for name, value in values.items()}
    except (OSError, DocumentError, UsageError) as error:
        raise UsageError(f"{where}: {error}") from error


def _toml(text: str) -> dict[str, Any]:
    """The values of a text of TOML. DocumentError where it is not that, or a line is too long."""
    for number, line in enumerate(text.split("\n"), 1):
        if len(line) > _LONGEST_LINE:  # a key of many parts takes time that grows with their square
            raise DocumentError(f"line {number} has more than {_LONGEST_LINE:,} characters")
    try:
        values: dict[str, Any] = tomllib.loads(text)
    except RecursionError as error:
        raise DocumentError("its lists or tables nest too deep") from error
    except ValueError as error:  # also of an integer of thousands of digits
        raise DocumentError(str(error)) from error
    return values


def _from_environment(environment: Mapping[str, str]) -> _Stored:
    other = (*(_PREFIX + name for name in _NOT_OPTIONS), *(name for name in environment if name.startswith(SERVICE)))
    return _parsed({n: text for n, text in environment.items() if n not in other}, _PREFIX, _STORED)


def _parsed(environment: Mapping[str, str], prefix: str, hints: Mapping[str, Any]) -> _Stored:
    values: _Stored = {}
    for variable, text in environment.items():
        name = variable.removeprefix(prefix)
        if name == variable:
            continue
        option, where = name.lower(), f"the environment variable {variable}={text}"
        try:
            check_names([option], tuple(hints))
            values[option] = parse(text, hints[option]), where
        except (UsageError, ValueError) as error:
            raise UsageError(f"{where}: {error}") from error
    return values
