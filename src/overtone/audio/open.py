"""Inputs for decoding: the name each has in messages, and the open file behind it."""

from __future__ import annotations

import io
import os
import re
import stat
from collections.abc import Iterable, Mapping
from contextlib import suppress
from numbers import Real
from typing import Any, BinaryIO

import numpy as np

from overtone.audio.input_errors import unreadable
from overtone.audio.stream_spool import seekable
from overtone.errors import Code, InputError, printable
from overtone.types import Audio

Readable = str | os.PathLike[str] | bytes | BinaryIO | Audio
"""A path, the bytes of a file, an open binary file (pipes too; read from where it stands, and not closed), or
an `Audio`."""

AudioLike = Readable | tuple[Any, Any] | Mapping[str, Any]
"""Any of these, and what other libraries give for one; `as_readable` takes it."""


def as_readable(source: AudioLike) -> Readable:
    """The source as the decoder reads it; anything but the forms below is returned as it is.

    - `(array, rate)`, as librosa, soundfile and torchaudio give it, and `(rate, array)`, as SciPy and Gradio do:
      the number is the rate. Channels come first; for soundfile's and SciPy's make an `Audio` with its `layout`.
    - `{"array": …, "sampling_rate": …}` and, before decoding, `{"bytes": …, "path": …}`: Hugging Face datasets.
    """
    if isinstance(source, tuple) and len(source) == 2:
        first, second = source
        if is_array(first) and isinstance(second, Real):
            return Audio(first, second)  # type: ignore[arg-type] # the rate is checked where it is opened
        if isinstance(first, Real) and is_array(second):
            return Audio(second, first)  # type: ignore[arg-type] # as above
    if isinstance(source, Mapping):
        path, data = source.get("path"), source.get("bytes")
        name = os.fsdecode(path) if isinstance(path, str | os.PathLike) else ""
        if "array" in source and "sampling_rate" in source:
            return Audio(source["array"], source["sampling_rate"], name or "array")
        if isinstance(data, bytes | bytearray):
            return _NamedBytes(data, name)
        if data is None and "bytes" in source and name:
            return name
    return source  # type: ignore[return-value] # refused where it is opened


def is_array(value: object) -> bool:
    """True for an array of NumPy or of a library that it can take arrays from."""
    return hasattr(value, "__array__") and not isinstance(value, np.generic)


class _NamedBytes(io.BytesIO):
    """The bytes of a file with its name, as an open file has one."""

    def __init__(self, data: bytes | bytearray, name: str) -> None:
        super().__init__(data)
        self.name = name or "bytes"


def name_of(source: object, given: str | None = None) -> str:
    """The source's name in messages, in a form any terminal and JSON can take: bytes that are no UTF-8 → `\\udcff`."""
    return printable(given or _own_name(source))


def _own_name(source: object) -> str:
    if isinstance(source, (str, os.PathLike)):
        with suppress(TypeError, ValueError):
            return os.fsdecode(source)
    if is_array(source):
        return type(source).__name__
    name = getattr(source, "name", None)
    return name if isinstance(name, str) and name else type(source).__name__


def opened(source: object, name: str) -> tuple[Any, BinaryIO | None]:
    """The file to read, and the one for the caller to close, if any. A stream that has to seek is spooled."""
    file, owned = _file(source, name)
    try:
        ready, spool = seekable(file, name)
    except BaseException:
        if owned is not None:
            owned.close()
        raise
    if spool is not None and owned is not None:
        owned.close()
    return ready, spool or owned


def _file(source: object, name: str) -> tuple[Any, BinaryIO | None]:
    if isinstance(source, (bytes, bytearray, memoryview)):
        return io.BytesIO(source), None
    if isinstance(source, (str, os.PathLike)):
        file = _open_path(source, name)
        return file, file
    if callable(getattr(source, "read", None)):
        return source, None
    if is_array(source):
        text = f"{name}: an array needs its rate: pass Audio(samples, rate)"
        raise InputError(text, code=Code.BAD_SAMPLES)
    text = (
        f"{name}: a path, bytes, an open binary file, Audio(samples, rate), (array, rate) or a dict of 'array' and "
        "'sampling_rate' was expected"
    )
    if isinstance(source, Iterable) and not isinstance(source, Mapping):
        text += "; several of them go to stream()"
    raise InputError(text, code=Code.UNREADABLE)


def _open_path(path: str | os.PathLike[str], name: str) -> BinaryIO:
    try:
        mode = os.stat(path).st_mode
        if stat.S_ISDIR(mode):
            raise InputError(f"{name}: it is a folder, not a file; name a file in it", code=Code.UNREADABLE)
        if not (stat.S_ISREG(mode) or stat.S_ISFIFO(mode)):
            raise InputError(f"{name}: a device or socket is not read; name a file", code=Code.UNREADABLE)
        return open(path, "rb", buffering=0)  # FFmpeg has its own buffer
    except (FileNotFoundError, NotADirectoryError):
        hint = "only local files are read: download it first" if _is_url(path) else "check the path"
        raise InputError(f"{name}: no such file; {hint}", code=Code.NOT_FOUND) from None
    except (OSError, ValueError) as error:  # ValueError: a null byte, a name that cannot be encoded
        raise unreadable(name, error) from None


def _is_url(path: str | os.PathLike[str]) -> bool:
    return re.match(r"[A-Za-z][A-Za-z0-9+.,-]+:", os.fsdecode(path)) is not None
