"""What `generate` is given, as FunASR takes it: paths, lists of them, samples, bytes, and their keys."""

from __future__ import annotations

import json
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
from overtone.errors import InputError, UsageError
from overtone.types import Audio

_LISTS = (".scp", ".txt", ".jsonl")


def named(input: Any, key: str | None, fs: int) -> Iterator[tuple[str, Readable]]:
    """Every input with its key, as FunASR names them (`funasr.auto.auto_model.prepare_data_iterator`).

    Of a single input: `key`, else a file's stem, else random. In a list: a file's stem, whatever `key` is; anything
    else has the key of the file before it, or `key`. Where FunASR gives several samples one random key, each has its
    own here, so that none is saved over another.
    """
    if isinstance(input, list | tuple):
        for item in input:
            if isinstance(item, str | os.PathLike) and os.path.exists(item):
                key = Path(item).stem
            yield from named(item, key, fs)
    elif isinstance(input, str | os.PathLike):
        path = os.fspath(input)
        if path.lower().endswith(_LISTS) and os.path.isfile(path):
            yield from listed(path)
        else:
            yield key or Path(path).stem, path
    else:
        yield key or random_key(), samples_of(input, fs)


def listed(path: str) -> Iterator[tuple[str, str]]:
    """Keys and sources of a list that is a file. InputError for a line that is none."""
    for number, line in enumerate(Path(path).read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip():
            continue
        if path.endswith(".jsonl"):
            try:
                entry = json.loads(line)
                yield str(entry.get("key") or random_key()), str(entry["source"])
            except (ValueError, KeyError, AttributeError) as error:
                raise InputError(
                    f"{path}: line {number} is no JSON object with a 'source'.", code="bad_list"
                ) from error
        else:
            words = line.split(maxsplit=1)
            yield (words[0], words[1].strip()) if len(words) == 2 else (random_key(), words[0])


def samples_of(input: Any, fs: int) -> Readable:
    """What the decoder is to read. fs: of samples. UsageError for what cannot be read."""
    if isinstance(input, bytes):
        return input if _is_file(input) else Audio(_floats(np.frombuffer(input[: len(input) & ~1], np.int16)), fs)
    if hasattr(input, "detach") and hasattr(input, "cpu"):
        input = input.detach().cpu().numpy()
    if isinstance(input, np.ndarray):
        return Audio(_floats(input), fs)
    if hasattr(input, "read"):
        if hasattr(input, "seek"):
            input.seek(0)
        return input  # type: ignore[no-any-return] # an open binary file
    raise UsageError(
        f"generate() cannot read a {type(input).__name__}; give a path, samples, bytes, or a list of them."
    )


def _floats(samples: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return samples.astype(np.float32) / 32768 if samples.dtype == np.int16 else samples


def _is_file(data: bytes) -> bool:
    """Whether bytes are a file of a format that names itself; FunASR takes any others for int16 samples."""
    marks: Sequence[bytes] = (b"RIFF", b"fLaC", b"OggS", b"ID3", b"FORM", b"\x1aE\xdf\xa3", b"RF64", b"caff", b"#!AMR")
    return data.startswith(tuple(marks)) or data[4:8] == b"ftyp" or data[:2] in (b"\xff\xfb", b"\xff\xf3", b"\xff\xf1")


def random_key() -> str:
    """A key as FunASR makes one for what has no name."""
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
    """What FunASR gives as a `torch.Tensor`: one where PyTorch is installed, else the array."""
    if find_spec("torch") is None:
        return array
    import torch

    return torch.from_numpy(array)
