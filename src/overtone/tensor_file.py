"""The tensors of a published weights file by name, and each one's numbers when they are asked for.

A training checkpoint holds its optimiser's state beside the weights, which makes it three times as large: what is not a
weight is never read. Nor is anything executed: the index of what `torch.save` writes is a pickle, and the reader here
knows the handful of names that make tensors; whatever else it holds becomes an object that does nothing. It knows no
PyTorch, so that sizes are told without it. The file is not mapped: pages once touched would count as the process's own,
and a file that is cut short while it is mapped takes the process down.
"""

from __future__ import annotations

import json
import math
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

WRAPPERS = ("state_dict", "model_state_dict", "model")
"""Names under which a checkpoint keeps its weights, each looked for in what the one before gave, as FunASR does."""

_TYPES: Mapping[str, np.dtype[Any]] = {
    "F64": np.dtype("<f8"),
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
    "BF16": np.dtype("<u2"),
    "I64": np.dtype("<i8"),
    "I32": np.dtype("<i4"),
    "I16": np.dtype("<i2"),
    "I8": np.dtype("i1"),
    "U8": np.dtype("u1"),
    "BOOL": np.dtype("?"),
}
"""Numbers by the names safetensors has for them. NumPy has no bfloat16: it is the upper half of a float32."""

_STORAGES: Mapping[str, str] = {
    "DoubleStorage": "F64",
    "FloatStorage": "F32",
    "HalfStorage": "F16",
    "BFloat16Storage": "BF16",
    "LongStorage": "I64",
    "IntStorage": "I32",
    "ShortStorage": "I16",
    "CharStorage": "I8",
    "ByteStorage": "U8",
    "BoolStorage": "BOOL",
}
"""The same by PyTorch's names."""

_LARGEST_INDEX = 16 << 20
"""Bytes of what a file says of its tensors. Published ones have some hundred thousand."""


class TensorFileError(ValueError):
    """A weights file that is damaged, or holds something else than plain tensors."""


class LegacyFileError(TensorFileError):
    """A file of PyTorch from before 1.6, which has no index that could be read by itself."""


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """Where a tensor lies. kind: of its numbers, a key of `_TYPES`. start: its first byte. strides: in numbers."""

    kind: str
    shape: tuple[int, ...]
    start: int
    strides: tuple[int, ...]

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the numbers in the file."""
        return _TYPES[self.kind]

    @property
    def floating(self) -> bool:
        """Whether they are floating-point numbers."""
        return "F" in self.kind

    @property
    def by_rows(self) -> bool:
        """Whether the numbers lie one after the other, the last dimension running fastest."""
        return self.strides == _row_strides(self.shape)

    @property
    def span(self) -> int:
        """Numbers from its first to its last one in the file."""
        if 0 in self.shape:
            return 0
        return 1 + sum((size - 1) * stride for size, stride in zip(self.shape, self.strides, strict=True))

    @property
    def loaded_bytes(self) -> int:
        """Bytes in memory: four for each floating-point number."""
        return math.prod(self.shape) * (4 if self.floating else self.dtype.itemsize)


class TensorFile:
    """`tensors` by name, as `model.pt`, `model.bin` or `model.safetensors` holds them.

    Raises TensorFileError for a file that is broken or holds no tensors by name, OSError where it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(0)
            try:
                found = dict(_in_safetensors(file) if path.suffix == ".safetensors" else _in_pytorch(file))
            except TensorFileError:
                raise
            except (OSError, MemoryError):
                raise
            except Exception as error:  # a broken pickle or zip raises what it likes
                raise TensorFileError(f"{type(error).__name__}: {str(error)[:200]}") from error
        for name, tensor in found.items():
            if tensor.start < 0 or tensor.start + tensor.span * tensor.dtype.itemsize > size:
                raise TensorFileError(f"tensor {name} lies beyond its end; it is cut short")
        self.tensors: Mapping[str, StoredTensor] = found

    @property
    def loaded_bytes(self) -> int:
        """Bytes that all of them take in memory."""
        return sum(tensor.loaded_bytes for tensor in self.tensors.values())

    def read(self, name: str) -> Array:
        """A tensor's numbers, in its shape: float32 if they are floating-point, else as they are stored.

        Raises TensorFileError where the file has become shorter meanwhile.
        """
        tensor = self.tensors[name]
        numbers = np.empty(tensor.span, tensor.dtype)
        with self.path.open("rb", buffering=0) as file:
            file.seek(tensor.start)
            left = numbers.view(np.uint8).data
            while len(left):
                if not (count := file.readinto(left)):
                    raise TensorFileError(f"{self.path.name} was cut short while it was read")
                left = left[count:]
        if tensor.kind == "BF16":
            numbers = (numbers.astype("<u4") << 16).view("<f4")
        if not tensor.by_rows:
            steps = [stride * numbers.itemsize for stride in tensor.strides]
            numbers = np.ascontiguousarray(np.lib.stride_tricks.as_strided(numbers, tensor.shape, steps))
        numbers = numbers.reshape(tensor.shape)
        return numbers.astype(np.float32, copy=False) if tensor.floating else numbers


def _row_strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    strides = [1]
    for size in reversed(shape[1:]):
        strides.insert(0, strides[0] * size)
    return tuple(strides[: len(shape)])


def _in_safetensors(file: IO[bytes]) -> Iterable[tuple[str, StoredTensor]]:
    length = int.from_bytes(file.read(8), "little")
    if length > _LARGEST_INDEX:
        raise TensorFileError("its index is too large")
    said = json.loads(file.read(length))
    for name, entry in said.items():
        if name == "__metadata__" or entry["dtype"] not in _TYPES:
            continue
        shape = _sizes(entry["shape"])
        yield name, StoredTensor(entry["dtype"], shape, 8 + length + int(entry["data_offsets"][0]), _row_strides(shape))


def _in_pytorch(file: IO[bytes]) -> Iterable[tuple[str, StoredTensor]]:
    """What `torch.save` writes is a zip of a pickle and, not compressed, each storage's bytes."""
    if not zipfile.is_zipfile(file):
        legacy = _is_legacy(file)
        raise (LegacyFileError if legacy else TensorFileError)("it is not what torch.save writes")
    with zipfile.ZipFile(file) as parts:
        indexes = [part for part in parts.infolist() if part.filename.endswith("/data.pkl")]
        if len(indexes) != 1 or indexes[0].file_size > _LARGEST_INDEX:
            raise TensorFileError("it has no index of a plausible size")
        root = indexes[0].filename.removesuffix("data.pkl")
        if f"{root}byteorder" in parts.namelist() and parts.read(f"{root}byteorder") != b"little":
            raise TensorFileError("its numbers are in big-endian order")
        with parts.open(indexes[0]) as pickled:
            state = _Index(pickled).load()
        for wrapper in WRAPPERS:
            if isinstance(state, Mapping) and wrapper in state:
                state = state[wrapper]
        if isinstance(state, _Inert):
            raise TensorFileError(
                "its weights are an object whose code would have to run; overtone never runs code from a checkpoint"
            )
        if not isinstance(state, Mapping):
            raise TensorFileError("it holds no mapping of names to tensors")
        for name, value in state.items():
            if isinstance(value, _Pickled) and value.storage.kind is not None:
                part = parts.getinfo(f"{root}data/{value.storage.key}")
                yield str(name), _located(value, value.storage.kind, part, file)


def _is_legacy(file: IO[bytes]) -> bool:
    """Whether it may be of PyTorch before 1.6: a pickle, or a tar, from its first byte."""
    file.seek(0)
    head = file.read(262)
    return head[:1] == b"\x80" or head[257:] == b"ustar"


def _located(tensor: _Pickled, kind: str, part: zipfile.ZipInfo, file: IO[bytes]) -> StoredTensor:
    # Before the bytes stand 30 of the part's own header, and two texts whose lengths are its last two numbers.
    file.seek(part.header_offset + 26)
    texts = int.from_bytes(file.read(2), "little") + int.from_bytes(file.read(2), "little")
    item = _TYPES[kind].itemsize
    shape, strides, offset = _sizes(tensor.shape), _sizes(tensor.strides), int(tensor.offset)
    found = StoredTensor(kind, shape, part.header_offset + 30 + texts + offset * item, strides)
    if len(shape) != len(strides) or offset < 0 or (offset + found.span) * item > part.file_size:
        raise TensorFileError("a tensor lies beyond its storage")
    if part.compress_type != zipfile.ZIP_STORED:
        raise TensorFileError("its tensors are compressed")
    return found


def _sizes(values: Any) -> tuple[int, ...]:
    sizes = tuple(values)
    if len(sizes) > 16 or not all(type(size) is int and size >= 0 for size in sizes):
        raise TensorFileError(f"{sizes[:4]} is no shape")
    return sizes


@dataclass(frozen=True, slots=True)
class _Storage:
    key: str
    kind: str | None


@dataclass(frozen=True, slots=True)
class _Pickled:
    """A tensor as the index has it."""

    storage: _Storage
    offset: int
    shape: Any
    strides: Any


class _Inert:
    """An object that does nothing, in place of what is neither tensor nor plain value. It takes all a pickle does."""

    def __new__(cls, *_: object, **__: object) -> _Inert:
        return super().__new__(cls)

    def __init__(self, *_: object, **__: object) -> None:
        pass

    def __call__(self, *_: object, **__: object) -> _Inert:
        return self

    def __setstate__(self, _: object) -> None:
        pass

    def __setitem__(self, _: object, __: object) -> None:
        pass

    append = extend = add = __call__


def _rebuild_tensor(storage: Any, offset: Any, shape: Any, strides: Any, *_: object) -> object:
    return _Pickled(storage, offset, shape, strides) if isinstance(storage, _Storage) else _Inert()


def _rebuild_parameter(data: Any, *_: object) -> Any:
    return data


_KNOWN: Mapping[tuple[str, str], Callable[..., Any]] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch", "Size"): tuple,
    ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
    ("torch._utils", "_rebuild_parameter"): _rebuild_parameter,
}


class _Index(pickle._Unpickler):
    """Reads the index. In Python, not C: there an index of a few bytes can ask for gigabytes of places to remember."""

    def find_class(self, module: str, name: str) -> Any:
        if module in ("torch", "torch.storage") and name in _STORAGES:
            return _Storage("", _STORAGES[name])
        # A new class for each: a pickle may set what it likes on a class.
        return _KNOWN.get((module, name)) or type("_Inert", (_Inert,), {})

    def persistent_load(self, pid: Any) -> _Storage:
        _, storage, key, *_ = pid
        return _Storage(str(key), storage.kind if isinstance(storage, _Storage) else None)
