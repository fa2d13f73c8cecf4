"""Inputs of `generate` as FunASR takes them: paths, lists of them, samples, bytes, and their keys."""

from __future__ import annotations

import os
import secrets
import string
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from overtone.audio import Readable
from overtone.compat.file_marks import is_audio_file
from overtone.errors import Code, InputError, UsageError, printable
from overtone.system.documents import DocumentError, parse_json
from overtone.types import Audio

_LISTS = (".scp", ".txt", ".text", ".json", ".jsonl")

_LONGEST_LINE = 1 << 20
"""Characters. A line of a list of texts may be a long one."""


def named(input: Any, key: str | None, fs: int, *, in_parts: bool = False) -> Iterator[tuple[str, Readable]]:
    """Every input with its key, as FunASR names them (`funasr.auto.auto_model.prepare_data_iterator`).

    fs: Hz, of samples. in_parts: bytes are a part of a stream of samples.

    Of a single input: `key`, else a file's stem, else random. In a list: a file's stem, whatever `key` is; anything
    else has the key of the file before it, or `key`. Where FunASR gives several samples one random key, each has its
    own here, so that none is saved over another.
    """
    if isinstance(input, list | tuple):
        for item in input:
            if isinstance(item, str | os.PathLike) and os.path.exists(item):
                key = Path(item).stem
            yield from named(item, key, fs, in_parts=in_parts)
    elif isinstance(input, str | os.PathLike):
        path = os.fspath(input)
        if path.lower().endswith(_LISTS) and os.path.isfile(path):
            yield from listed(path)
        else:
            yield key or Path(path).stem, path
    else:
        yield key or random_key(), samples_of(input, fs, in_parts=in_parts)


def listed(path: str) -> Iterator[tuple[str, str]]:
    """Keys and sources of a list that is a file. InputError for a line that is none, or a file that is no text."""
    try:
        with open(path, encoding="utf-8-sig") as file:  # editors on Windows put a mark before the text
            for number, line in enumerate(iter(lambda: file.readline(_LONGEST_LINE), ""), 1):
                if len(line) == _LONGEST_LINE:
                    raise _bad_line(path, number, "is too long for one of a list")
                if words := line.split(maxsplit=1):
                    yield _from_json(path, number, line) if _holds_json(path, line) else _keyed(words)
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        text = f"{printable(path)}: the list cannot be read ({reason})."
        raise InputError(text, code=Code.BAD_LIST) from error


def _holds_json(path: str, line: str) -> bool:
    """True for a line that is an object; FunASR takes a `.json` for a list of words."""
    ending = os.path.splitext(path)[1].lower()
    return ending == ".jsonl" or (ending == ".json" and line.lstrip().startswith("{"))


def _keyed(words: Sequence[str]) -> tuple[str, str]:
    return (words[0], words[1].strip()) if len(words) == 2 else (random_key(), words[0])


def _from_json(path: str, number: int, line: str) -> tuple[str, str]:
    try:
        entry = parse_json(line)
    except DocumentError as error:
        raise _bad_line(path, number, f"is no JSON object with a 'source' ({error})") from error
    if not isinstance(entry, dict) or "source" not in entry:
        raise _bad_line(path, number, "is no JSON object with a 'source'")
    return str(entry.get("key") or random_key()), str(entry["source"])


def _bad_line(path: str, number: int, reason: str) -> InputError:
    return InputError(f"{printable(path)}: line {number} {reason}.", code=Code.BAD_LIST)


def samples_of(input: Any, fs: int, *, in_parts: bool = False) -> Readable:
    """Samples, bytes or a file object as the decoder reads them. UsageError for anything else. Else as `named`."""
    if isinstance(input, bytearray | memoryview):
        input = bytes(input)
    if isinstance(input, bytes):
        if is_audio_file(input, frames=not in_parts):
            return input
        return Audio(np.frombuffer(input[: len(input) & ~1], np.int16), fs)
    if hasattr(input, "detach") and hasattr(input, "cpu"):
        input = input.detach().cpu().numpy()
    if isinstance(input, np.ndarray):
        # One channel as libraries write it that have samples first.
        single = input.ndim == 2 and input.shape[1] == 1
        return Audio(input[:, 0] if single else input, fs)
    if hasattr(input, "read"):
        if hasattr(input, "seek"):
            input.seek(0)
        return input  # type: ignore[no-any-return] # an open binary file
    raise UsageError(
        f"generate() cannot read a {type(input).__name__}; give a path, samples, bytes, or a list of them."
    )


def random_key() -> str:
    """A random key, as FunASR makes one for an input without a name."""
    letters = string.ascii_letters + string.digits
    return "rand_key_" + "".join(secrets.choice(letters) for _ in range(13))


def texts(input: Any, key: str | None) -> Iterator[tuple[str, str]]:
    """Every text with its key: a text, a list of them, or a file of them, a line for each. UsageError for others."""
    if isinstance(input, list | tuple):
        for item in input:
            yield from texts(item, key)
    elif isinstance(input, str) and input.lower().endswith(_LISTS) and os.path.isfile(input):
        yield from listed(input)
    elif isinstance(input, str):
        yield key or random_key(), input
    else:
        raise UsageError(f"generate() of a punctuation model takes text, not a {type(input).__name__}.")


def tensor(array: npt.NDArray[Any]) -> Any:
    """The array as a `torch.Tensor`, as FunASR gives it, where PyTorch is installed; else the array."""
    if find_spec("torch") is None:
        return array
    import torch

    return torch.from_numpy(array)
