"""Tensors of a published weights file by name, each read when it is asked for.

A training checkpoint holds its optimizer's state beside the weights, which makes it three times as large: only weights
are ever read. The module knows no PyTorch, so that sizes are known without it. The file is not mapped: pages once
touched would count as the process's own, and a file that is cut short while it is mapped takes the process down.
"""

from __future__ import annotations

import math
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from overtone.models.pickled_index import Inert, PickledTensor, read_index
from overtone.system.documents import parse_json

Array = npt.NDArray[Any]

WRAPPERS = ("state_dict", "model_state_dict", "model")
"""Names under which a checkpoint keeps its weights, each looked for in the value of the one before, as FunASR does."""

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

_LARGEST_INDEX = 2 << 20
"""Bytes of a file's index of its tensors; read, it may take fifty times as much. Published ones have some hundred
thousand."""

_MAX_BITS = 62
"""Of a tensor's bytes and strides, so that NumPy can count them."""


class TensorFileError(ValueError):
    """A weights file that is damaged, or holds something else than plain tensors."""


class LegacyFileError(TensorFileError):
    """A file of PyTorch from before 1.6, which has no index that could be read by itself."""


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """Place of a tensor in its file.

    - `kind`: of its numbers, a key of `_TYPES`.
    - `start`: a byte.
    - `strides`: in numbers.
    """

    kind: str
    shape: tuple[int, ...]
    start: int
    strides: tuple[int, ...]

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the numbers in the file."""
        return _TYPES[self.kind]

    @property
    def floating(self) -> bool:
        """True for floating-point numbers."""
        return "F" in self.kind

    @property
    def by_rows(self) -> bool:
        """True where the numbers lie one after the other, the last dimension running fastest."""
        return self.strides == _row_strides(self.shape)

    @property
    def span(self) -> int:
        """Numbers from its first to its last one in the file."""
        if 0 in self.shape:
            return 0
        return 1 + sum((size - 1) * stride for size, stride in zip(self.shape, self.strides, strict=True))

    @property
    def loaded_bytes(self) -> int:
        """Bytes in memory: four for each floating-point number, also of those between the tensor's that are read."""
        return max(math.prod(self.shape), self.span) * (4 if self.floating else self.dtype.itemsize)


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
            except Exception as error:  # a broken pickle or zip raises what it likes
                raise TensorFileError(f"{type(error).__name__}: {str(error)[:200]}") from error
        for name, tensor in found.items():
            if tensor.start + tensor.span * tensor.dtype.itemsize > size:
                raise TensorFileError(f"tensor {name[:200]} lies beyond its end; it is cut short")
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


def _checked(kind: str, shape: Any, start: int, strides: Any = None) -> StoredTensor:
    """A tensor of sizes that can be. strides: None where it lies by rows."""
    shape = _sizes(shape)
    rows = _row_strides(shape)
    strides = rows if strides is None else _sizes(strides)
    if len(shape) != len(strides):
        raise TensorFileError("a tensor has more strides than dimensions, or fewer")
    # Where there is one of something, the way to the next says nothing, and may be anything.
    strides = tuple(row if size == 1 else stride for size, stride, row in zip(shape, strides, rows, strict=True))
    numbers = math.prod(max(size, 1) for size in shape)
    if max(numbers, *strides, start, 1).bit_length() + 3 > _MAX_BITS:
        raise TensorFileError("a tensor is larger than anything can be")
    found = StoredTensor(kind, shape, start, strides)
    if math.prod(shape) > found.span:  # strides of 0, say: a few bytes would become gigabytes
        raise TensorFileError("a tensor has more numbers than its storage")
    return found


def _in_safetensors(file: IO[bytes]) -> Iterable[tuple[str, StoredTensor]]:
    length = int.from_bytes(file.read(8), "little")
    if length > _LARGEST_INDEX:
        raise TensorFileError("its index is too large")
    said = parse_json(file.read(length))
    if not isinstance(said, dict):
        raise TensorFileError("its index is no mapping of names to tensors")
    for name, entry in said.items():
        if name == "__metadata__" or entry["dtype"] not in _TYPES:
            continue
        begin, end = _sizes(entry["data_offsets"])
        tensor = _checked(entry["dtype"], entry["shape"], 8 + length + begin)
        if end - begin != math.prod(tensor.shape) * tensor.dtype.itemsize:
            raise TensorFileError("a tensor has more bytes than numbers, or fewer")
        yield name, tensor


def _in_pytorch(file: IO[bytes]) -> Iterable[tuple[str, StoredTensor]]:
    """The tensors of a file by `torch.save`: a zip of a pickle and each storage's bytes, none of it compressed."""
    if not zipfile.is_zipfile(file):
        legacy = _is_legacy(file)
        raise (LegacyFileError if legacy else TensorFileError)("it is not what torch.save writes")
    with zipfile.ZipFile(file) as parts:
        indexes = [part for part in parts.infolist() if part.filename.endswith("/data.pkl")]
        if len(indexes) != 1:
            raise TensorFileError("it has no index, or several")
        root = indexes[0].filename.removesuffix("data.pkl")
        if f"{root}byteorder" in parts.namelist() and _small(parts, f"{root}byteorder") != b"little":
            raise TensorFileError("its numbers are in big-endian order")
        state = read_index(_small(parts, indexes[0].filename))
        for wrapper in WRAPPERS:
            if isinstance(state, dict) and wrapper in state:
                state = state[wrapper]
        if isinstance(state, Inert):
            raise TensorFileError(
                "its weights are an object whose code would have to run; overtone never runs code from a checkpoint"
            )
        if not isinstance(state, dict):
            raise TensorFileError("it holds no mapping of names to tensors")
        for name, value in state.items():
            if isinstance(value, PickledTensor) and isinstance(name, str) and value.kind is not None:
                part = parts.getinfo(f"{root}data/{value.key}")
                yield name, _located(value, value.kind, part, file)


def _small(parts: zipfile.ZipFile, name: str) -> bytes:
    """A part that is no tensor. Compressed, a few bytes could become gigabytes."""
    part = parts.getinfo(name)
    if part.compress_type != zipfile.ZIP_STORED or not part.file_size == part.compress_size <= _LARGEST_INDEX:
        raise TensorFileError("its index is compressed, or of no plausible size")
    return parts.read(part)


def _is_legacy(file: IO[bytes]) -> bool:
    """True where it may be of PyTorch before 1.6: a pickle, or a tar, from its first byte."""
    file.seek(0)
    head = file.read(262)
    # What begins as a zip is one to PyTorch, which would read compressed parts.
    return head[:1] == b"\x80" or (head[257:] == b"ustar" and head[:2] != b"PK")


def _located(tensor: PickledTensor, kind: str, part: zipfile.ZipInfo, file: IO[bytes]) -> StoredTensor:
    # Before the bytes stand 30 of the part's own header, and two texts whose lengths are its last two numbers.
    file.seek(part.header_offset + 26)
    texts = int.from_bytes(file.read(2), "little") + int.from_bytes(file.read(2), "little")
    item, (offset,) = _TYPES[kind].itemsize, _sizes((tensor.offset,))
    found = _checked(kind, tensor.shape, part.header_offset + 30 + texts + offset * item, tensor.strides)
    if (offset + found.span) * item > part.file_size:
        raise TensorFileError("a tensor lies beyond its storage")
    if part.compress_type != zipfile.ZIP_STORED:
        raise TensorFileError("its tensors are compressed")
    return found


def _sizes(values: Any) -> tuple[int, ...]:
    if not isinstance(values, list | tuple) or len(values) > 16:
        raise TensorFileError("a tensor has no shape")
    if not all(type(size) is int and size >= 0 for size in values):
        raise TensorFileError("a tensor has a shape that is none")
    return tuple(values)
