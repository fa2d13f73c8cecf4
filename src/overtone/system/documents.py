"""Documents from strangers read in bounded time and memory: text, and JSON with a limit on everything in it.

`json` alone takes a number of any length, nests until the interpreter's stack is used up, and keeps the last of two
values with one key. Here each of these is a `DocumentError`, found before it costs anything.
"""

from __future__ import annotations

import io
import json
import math
import re
import reprlib
from pathlib import Path
from typing import Any

from overtone.system.files import read_capped

MAX_DEPTH = 64
"""Levels of lists and mappings within each other. Published documents have five."""

MAX_VALUES = 1 << 20
"""Values in a document of JSON. The largest published vocabulary has 471,067."""

MAX_DIGITS = 64
"""Characters of a number. A double takes 24, an integer of 64 bits 20."""

_SHOWN = 80
"""Characters of a value in a message."""

_MARKS = re.compile(r'["\[\]{},]')


class DocumentError(ValueError):
    """A document that is not read: its fault and, where it is known, the line, in one line without the file's name."""


class _Repr(reprlib.Repr):
    def __init__(self) -> None:
        super().__init__()
        self.maxstring = self.maxother = self.maxlong = _SHOWN
        self.maxlevel = 2

    def repr_int(self, x: int, level: int) -> str:
        # Python itself refuses to write a longer one out, to save time.
        return super().repr_int(x, level) if x.bit_length() < 4096 else f"an integer of {x.bit_length()} bits"


_repr = _Repr()


def shown(value: object) -> str:
    """A value as a message shows it, in short time whatever it is: its `repr`, cut in the middle where it is long."""
    return _repr.repr(value)


def read_text(path: Path, max_bytes: int) -> str:
    """The text of a UTF-8 file, with or without a byte order mark, every line ending in `\\n`.

    OSError; DocumentError for a file of more than `max_bytes`, or that is not UTF-8.
    """
    if (data := read_capped(path, max_bytes)) is None:
        raise DocumentError(f"it is larger than {_size(max_bytes)}")
    try:
        return io.TextIOWrapper(io.BytesIO(data), encoding="utf-8-sig").read()
    except UnicodeDecodeError as error:
        raise DocumentError(f"it is not UTF-8: byte {data[error.start]:#04x} at {error.start}") from error


def _size(count: int) -> str:
    return f"{count >> 20} MiB" if count >= 1 << 20 else f"{count >> 10} KiB"


def read_json(path: Path, max_bytes: int, *, max_values: int = MAX_VALUES, max_depth: int = MAX_DEPTH) -> Any:
    """The value of a file of JSON. OSError; DocumentError as for `read_text` and `parse_json`."""
    return parse_json(read_text(path, max_bytes), max_values=max_values, max_depth=max_depth)


def parse_json(text: str | bytes, *, max_values: int = MAX_VALUES, max_depth: int = MAX_DEPTH) -> Any:
    """The value of a text of JSON, in UTF-8 where it is bytes.

    Its numbers are finite and its texts can be written in UTF-8. DocumentError for text that is not JSON, holds more
    than `max_values` values, nests deeper than `max_depth`, has a key twice, or a number of more than `MAX_DIGITS`.
    """
    if isinstance(text, bytes):
        try:
            text = text.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise DocumentError(f"it is not UTF-8: byte {text[error.start]:#04x} at {error.start}") from error
    _check_extent(text, max_values, max_depth)
    try:
        value = json.loads(
            text, object_pairs_hook=_mapping, parse_int=_integer, parse_float=_float, parse_constant=_constant
        )
    except json.JSONDecodeError as error:
        raise DocumentError(f"{error.msg}, line {error.lineno}, column {error.colno}") from error
    except RecursionError as error:  # little of the stack was left
        raise DocumentError("it nests too deep") from error
    if "\\u" in text:
        check_unicode(json.dumps(value, ensure_ascii=False))
    return value


def check_unicode(text: str) -> None:
    """DocumentError for a text with half of a pair of UTF-16 in it, which an escape can write and no file can hold."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise DocumentError(f"the escape {text[error.start]!a} is half of a character") from error


def _check_extent(text: str, max_values: int, max_depth: int) -> None:
    """DocumentError for too many values or levels, found without parsing."""
    opened = text.count("[") + text.count("{")
    if opened <= max_depth and opened + text.count(",") < max_values:
        return  # whatever of it stands in quotes
    depth = values = at = 0
    while (found := _MARKS.search(text, at)) is not None:
        mark, at = found[0], found.end()
        if mark == '"':
            at = _after_quotes(text, at)
        elif mark in "]}":
            depth -= 1
        else:
            values += 1
            depth += mark != ","
        if depth > max_depth:
            raise DocumentError(f"it nests deeper than {max_depth} levels, line {text.count(chr(10), 0, at) + 1}")
        if values >= max_values:
            raise DocumentError(f"it holds more than {max_values:,} values")


def _after_quotes(text: str, start: int) -> int:
    """The place after the quote that ends a string; the text's end where none does."""
    end = text.find('"', start)
    while end > 0:
        before = end
        while before > start and text[before - 1] == "\\":
            before -= 1
        if (end - before) % 2 == 0:
            return end + 1
        end = text.find('"', end + 1)
    return len(text)


def _mapping(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise DocumentError(f"the key {shown(twice)} is there twice")
    return made


def _integer(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise DocumentError(f"a number of {len(text):,} characters is not read")
    return int(text)


def _float(text: str) -> float:
    if len(text) > MAX_DIGITS or not math.isfinite(value := float(text)):
        raise DocumentError(f"the number {shown(text)[1:-1]} is not read")
    return value


def _constant(text: str) -> float:
    raise DocumentError(f"{text} is no number of JSON")
