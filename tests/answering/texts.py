"""Answers as text: the same text for the same answer, whenever and wherever it was given.

What differs from run to run is replaced, as narrowly as it can be: seconds that work took by the name of their key,
paths, ids and keys by what they are.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import re
import struct
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

_SHOWN = 256
"""Numbers of an array that are written out; of a larger one a hash, which is as exact, and the first and last few."""

MEASURED = (
    *("decode_s", "cut_s", "wait_s", "run_s", "merge_s", "total_s", "service_s"),  # how long work took
    *("rate", "room_s", "queued_s", "eta_s", "time_s", "retry_after_s"),  # what that says of work to come
    *("resident_bytes", "planned_bytes", "batch_bytes", "peak_bytes", "largest_batch_s"),  # memory is measured, too
)
"""Keys of JSON whose numbers are measured."""

_NUMBER = r"-?\d[\d.eE+-]*"
_DATE = r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)?"

_REPLACED = (
    (rf'"({"|".join(MEASURED)})": ?{_NUMBER}', r'"\1": "<measured>"'),
    (r"of audio in [^,\n]+(, \d+ audio hours per hour)?", "of audio in <measured>"),
    (rf'"(time|made|changed|expires)": ?"{_DATE}"', r'"\1": "<date>"'),
    (r'"(expires|created)": ?\d+', r'"\1": "<date>"'),
    (r"\bot_[A-Za-z0-9_-]+", "<key>"),
    (r"rand_key_\w+", "<random key>"),
    (r"server process \[\d+\]", "server process [<id>]"),
    (r"127\.0\.0\.1:\d{4,5}\b", "127.0.0.1:<port>"),
)
"""What may be in any answer."""


class Scrubber:
    """Replaces what differs from run to run. named: text (paths, ids) and what stands in its place."""

    def __init__(self, named: Mapping[str, str]) -> None:
        self._named = dict(named)

    def also(self, named: Mapping[str, str]) -> Scrubber:
        """One that replaces these, too."""
        return Scrubber({**self._named, **named})

    def __call__(self, text: str) -> str:
        """The text with nothing in it that differs."""
        for name in sorted(self._named, key=len, reverse=True):
            text = text.replace(name, self._named[name])
        for pattern, instead in _REPLACED:
            text = re.sub(pattern, instead, text)
        return text


def without_numbers(text: str) -> str:
    """For what is measured all over: every number is `#`, and blanks, which align numbers, count as one."""
    lines = (re.sub(r"[ \t]+", " ", re.sub(r"\d+([.:]\d+)*", "#", line)).strip() for line in text.splitlines())
    return "\n".join(lines) + "\n"


def decoded(path: Path) -> str:
    """What a file that was written says."""
    data = path.read_bytes()
    if path.suffix == ".parquet":
        return table(data)
    if path.suffix == ".npz":
        return arrays(data)
    if path.suffix == ".npy":
        return "\n".join(described(np.load(io.BytesIO(data), allow_pickle=False))) + "\n"
    if path.suffix == ".png":
        width, height = struct.unpack(">II", data[16:24])
        return f"a picture of {width} × {height}, {digest(data)}\n"
    if path.suffix in (".bin", ".pt", ".model"):
        return f"{digest(data)}\n"
    return shown(data.decode("utf-8", "backslashreplace"))


def shown(text: str) -> str:
    """A text with what a terminal would obey, and all that ends lines but for line ends, spelled out."""
    lines = text.split("\n")
    return "\n".join(line if line.isprintable() else "".join(map(_spelled, line)) for line in lines)


def _spelled(character: str) -> str:
    return character if character.isprintable() else ascii(character)[1:-1]


def arrays(data: bytes) -> str:
    """What an `.npz` holds."""
    with np.load(io.BytesIO(data), allow_pickle=False) as held:
        lines = [f"{name}: {line}" for name in held.files for line in described(held[name])]
    return "\n".join(lines) + "\n"


def table(data: bytes) -> str:
    """What a Parquet file holds: its columns, and a line for each row."""
    from pyarrow import parquet

    held = parquet.read_table(io.BytesIO(data))
    columns = [f"{field.name}: {field.type}" for field in held.schema]
    return "\n".join([*columns, *(json.dumps(row, ensure_ascii=False) for row in held.to_pylist())]) + "\n"


def digest(data: bytes) -> str:
    """A hash of bytes."""
    return "sha256 " + hashlib.sha256(data).hexdigest()[:32]


def described(value: object) -> Iterator[str]:
    """A value of Python as lines, each number in full."""
    parts = _parts(value)
    if parts is None:
        yield _alone(value)
        return
    yield f"{type(value).__name__}" if dataclasses.is_dataclass(value) else f"{len(parts)} of them"
    for name, part in parts:
        first, *rest = described(part)
        yield f"  {name}: {first}"
        yield from (f"  {line}" for line in rest)


def _parts(value: object) -> list[tuple[str, object]] | None:
    """What a value is made of, by name or place; None if it is none of such."""
    if isinstance(value, str | bytes) or hasattr(value, "decode_s"):
        return None
    if isinstance(value, list | tuple) and all(isinstance(item, str | float | int | None) for item in value):
        return None
    if dataclasses.is_dataclass(value):
        return [(field.name, getattr(value, field.name)) for field in dataclasses.fields(value)]
    if isinstance(value, Mapping):
        return [(repr(name), value[name]) for name in value]
    if isinstance(value, Sequence):
        return [(str(place), item) for place, item in enumerate(value)]
    return None


def _alone(value: object) -> str:
    if isinstance(value, BaseException):
        code = f" [{value.code}]" if hasattr(value, "code") else ""
        return f"{type(value).__name__}{code}: {value}"
    if hasattr(value, "decode_s"):
        return f"{type(value).__name__}: notes {getattr(value, 'notes', None)!r}"  # the rest of timings is measured
    if hasattr(value, "numpy"):  # a tensor, or frames that are read as an array
        return _array(np.asarray(value.numpy()))
    if isinstance(value, np.ndarray):
        return _array(value)
    return f"{value.dtype} {value.item()!r}" if isinstance(value, np.generic) else repr(value)


def _array(value: np.ndarray[Any, np.dtype[Any]]) -> str:
    flat = value.reshape(-1)
    kind = f"{value.dtype} {value.shape}"
    if flat.size <= _SHOWN:
        return f"{kind} {flat.tolist()!r}"
    return f"{kind} {digest(np.ascontiguousarray(value).tobytes())} {flat[:4].tolist()!r} … {flat[-4:].tolist()!r}"
