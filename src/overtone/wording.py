"""Names of options in messages, as whoever reads them gives options: flags, keyword arguments, or parameters of HTTP.

A message is made once, with `param` where it names an option, and worded when it is shown.

    param("max_segment")        --max-segment       max_segment         max_segment
    param("segment", "none")    --segment none      segment='none'      segment=none
    param("itn", False)         --no-itn            itn=False           itn=false
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType
from typing import Literal

Face = Literal["command", "python", "http"]
"""Readers of messages: at the command line, in Python, or behind HTTP."""

Value = str | int | float | bool

_BEGIN, _END = "\ufdd0", "\ufdd1"
"""Around a name: characters that Unicode keeps for use within programs, so that no text from outside means a name."""

_TOKEN = re.compile(f"{_BEGIN}([a-z0-9_]+)(?:=([^{_END}]*))?{_END}")

_face: ContextVar[Face] = ContextVar("overtone_face", default="python")


def param(name: str, value: Value | None = None) -> str:
    """An option in a message, with the value that it is to have, if any. name: as the keyword argument."""
    said = "" if value is None else f"={json.dumps(value)}"
    return f"{_BEGIN}{name}{said}{_END}"


def flag(name: str) -> str:
    """An option as it is typed: `max_segment` is `--max-segment`."""
    return "--" + name.replace("_", "-")


def worded(text: str, face: Face | None = None, labels: Mapping[str, str] = MappingProxyType({})) -> str:
    """A message as it is shown to a face: without one, to that of `speaking_to`, which is Python by default.

    labels: other names of options, for a face that shows its own.
    """
    write = _WRITERS[face or _face.get()]

    def name_of(found: re.Match[str]) -> str:
        name, value = found[1], None if found[2] is None else json.loads(found[2])
        if name not in labels:
            return write(name, value)
        return labels[name] if value is None else f"{labels[name]} {_plain(value)}"

    return _TOKEN.sub(name_of, text)


def params_in(text: str) -> tuple[str, ...]:
    """Names of the options that a message names, in order."""
    return tuple(found[1] for found in _TOKEN.finditer(text))


@contextmanager
def speaking_to(face: Face) -> Iterator[None]:
    """Word messages for a face within the block, and in the tasks that are begun there."""
    before = _face.set(face)
    try:
        yield
    finally:
        _face.reset(before)


def _as_flag(name: str, value: Value | None) -> str:
    if isinstance(value, bool):
        return flag(name if value else f"no_{name}")
    return flag(name) if value is None else f"{flag(name)} {_plain(value)}"


def _as_keyword(name: str, value: Value | None) -> str:
    if value is None:
        return name
    return f"{name}={value!r}" if isinstance(value, str | bool) else f"{name}={_plain(value)}"


def _as_parameter(name: str, value: Value | None) -> str:
    if isinstance(value, bool):
        return f"{name}={str(value).lower()}"
    return name if value is None else f"{name}={_plain(value)}"


def _plain(value: Value) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


_WRITERS: Mapping[Face, Callable[[str, Value | None], str]] = {
    "command": _as_flag,
    "python": _as_keyword,
    "http": _as_parameter,
}
