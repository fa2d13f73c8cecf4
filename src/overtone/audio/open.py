"""What may be handed in for decoding: its name, and the open file behind it."""

from __future__ import annotations

import io
import os
import re
import stat
from contextlib import suppress
from typing import Any, BinaryIO

import numpy as np

from overtone.audio.av_errors import unreadable
from overtone.errors import InputError, printable
from overtone.types import Audio

Readable = str | os.PathLike[str] | bytes | BinaryIO | Audio
"""A path, the bytes of a file, an open binary file (pipes too; read from where it stands, and not closed), or
an `Audio`."""


def name_of(source: object, given: str | None = None) -> str:
    """The name that messages use, in a form any terminal and JSON can take: bytes that are no UTF-8 → `\\udcff`."""
    return printable(given or _own_name(source))


def _own_name(source: object) -> str:
    if isinstance(source, (str, os.PathLike)):
        with suppress(TypeError, ValueError):
            return os.fsdecode(source)
    name = getattr(source, "name", None)
    return name if isinstance(name, str) and name else type(source).__name__


def opened(source: object, name: str) -> tuple[Any, BinaryIO | None]:
    """The file to read, and the same again if it is the caller's to close."""
    if isinstance(source, (bytes, bytearray, memoryview)):
        return io.BytesIO(source), None
    if isinstance(source, (str, os.PathLike)):
        file = _open_path(source, name)
        return file, file
    if callable(getattr(source, "read", None)):
        return source, None
    if isinstance(source, np.ndarray):
        text = f"{name}: an array needs its rate: pass Audio(samples, rate)"
        raise InputError(text, code="bad_samples")
    text = f"{name}: a path, bytes, an open binary file or Audio(samples, rate) was expected"
    raise InputError(text, code="unreadable")


def _open_path(path: str | os.PathLike[str], name: str) -> BinaryIO:
    try:
        mode = os.stat(path).st_mode
        if stat.S_ISDIR(mode):
            raise InputError(f"{name}: it is a folder, not a file; name a file in it", code="unreadable")
        if not (stat.S_ISREG(mode) or stat.S_ISFIFO(mode)):
            raise InputError(f"{name}: a device or socket is not read; name a file", code="unreadable")
        return open(path, "rb", buffering=0)  # FFmpeg has its own buffer
    except (FileNotFoundError, NotADirectoryError):
        hint = "only local files are read: download it first" if _is_url(path) else "check the path"
        raise InputError(f"{name}: no such file; {hint}", code="not_found") from None
    except (OSError, ValueError) as error:  # ValueError: a null byte, a name that cannot be encoded
        raise unreadable(name, error) from None


def _is_url(path: str | os.PathLike[str]) -> bool:
    return re.match(r"[A-Za-z][A-Za-z0-9+.,-]+:", os.fsdecode(path)) is not None
