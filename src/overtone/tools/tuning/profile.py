"""Profile of a tuning: TOML with the names of `Options`, which `--profile` takes."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

from overtone.errors import UsageError
from overtone.output.formats.output_file import replacing

Value = str | int | float | bool

_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r"}


def write(path: str, values: Mapping[str, Value], remarks: Iterable[str]) -> None:
    """Write a profile, all of it or nothing. `remarks`: lines of comment above the values.

    UsageError where the file cannot be written, or a text has no form in UTF-8.
    """
    text = "".join(f"# {_plain(line)}".rstrip() + "\n" for line in remarks)
    text += "\n" + "".join(f"{name} = {literal(value)}\n" for name, value in values.items())
    try:
        data = text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise UsageError(
            f"{path}: a profile is UTF-8, and one of its values is not ({error}); rename the model's folder."
        ) from error
    with replacing(path) as file:
        file.write(data)


def literal(value: Value) -> str:
    """A value as TOML. Floats are finite: `Options` takes no others."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return '"' + "".join(map(_escaped, value)) + '"'
    return repr(value)


def _escaped(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    return f"\\u{ord(character):04x}" if character < " " or character == "\x7f" else character


def _plain(line: str) -> str:
    """A line fit for a comment: no control characters, and here nothing that is not text."""
    kept = "".join(character if character.isprintable() else " " for character in line)
    return kept.encode("utf-8", "backslashreplace").decode("utf-8")


def absolute_path(model: str) -> str:
    """A model's name as it is found from anywhere: a folder by its whole path."""
    return os.path.abspath(model) if os.path.isdir(model) else model
