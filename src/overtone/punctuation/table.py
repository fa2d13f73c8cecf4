"""The vectors of a vocabulary's words, read from their file one by one.

The published tables are 272727 words of 1 KiB and more: 266 MiB, and 927 MiB in the larger model, where the network
itself has 12 and 150. A text has few of these words, and each is needed once. So the table is no part of the graph and
is never in memory: a row is read when its word comes (2 µs, from the system's own cache of the file). It is not mapped
either: pages once touched would count as the process's own, and a file that is replaced while it is mapped takes the
process down.
"""

from __future__ import annotations

import json
import os
import pickle
import weakref
import zipfile
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from overtone.checkpoints import Checkpoint
from overtone.errors import CheckpointError

FILE = "embedding.npy"
"""The table in a converted model's folder: float32 (words, dim)."""

TENSOR = "embed.weight"
"""Its name among the published weights."""

_ROWS = 4096
"""Rows copied at a time."""

_TYPES: dict[str, np.dtype[Any]] = {
    **dict.fromkeys(("F32", "FloatStorage"), np.dtype("<f4")),
    **dict.fromkeys(("F16", "HalfStorage"), np.dtype("<f2")),
}
"""Numbers as safetensors and PyTorch call them."""


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a matrix lies in a file: its first byte, its shape, and the type of its numbers."""

    path: Path
    start: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]


class Table:
    """A matrix on disk, of which rows are read. Its file stays open while it lives."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        """From `FILE` in the checkpoint's folder where there is one, or from the published weights. CheckpointError."""
        try:
            self._place = _find(checkpoint)
            self._file = os.open(self._place.path, os.O_RDONLY)
        except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError, EOFError) as error:
            raise CheckpointError(f"{checkpoint.name}: {TENSOR} cannot be read ({error}); fetch it again.") from error
        except (pickle.UnpicklingError, zipfile.BadZipFile) as error:
            raise CheckpointError(
                f"{checkpoint.name}: {checkpoint.weights.name} is not a plain file of tensors ({error}); fetch it "
                "again, or convert it with `overtone models convert`."
            ) from error
        weakref.finalize(self, os.close, self._file)
        shape, size = self._place.shape, os.fstat(self._file).st_size
        if len(shape) != 2 or self._place.dtype not in (np.float32, np.float16):
            raise CheckpointError(
                f"{checkpoint.name}: {TENSOR} is {self._place.dtype} {shape}, and no table of floats."
            )
        self._row_bytes = shape[1] * self._place.dtype.itemsize
        if not 0 <= self._place.start <= size - shape[0] * self._row_bytes:
            raise CheckpointError(f"{checkpoint.name}: {self._place.path.name} is cut short; fetch it again.")

    @property
    def shape(self) -> tuple[int, int]:
        """Words, and dimensions of each."""
        rows, columns = self._place.shape
        return rows, columns

    def rows(self, ids: Sequence[int]) -> npt.NDArray[np.float32]:
        """The vectors of words, float32 (ids, dim). CheckpointError if the file has been cut short."""
        start, size = self._place.start, self._row_bytes
        read = b"".join(os.pread(self._file, size, start + at * size) for at in ids)
        if len(read) != len(ids) * size:
            raise CheckpointError(f"{self._place.path.name} was cut short while it was in use.")
        return np.frombuffer(read, self._place.dtype).astype(np.float32).reshape(len(ids), self.shape[1])

    def save(self, folder: Path) -> None:
        """Write it to `FILE` in a folder, for a converted model, some rows at a time."""
        rows, dim = self.shape
        with (folder / FILE).open("wb") as file:
            header = {"descr": "<f4", "fortran_order": False, "shape": (rows, dim)}
            np.lib.format.write_array_header_1_0(file, header)
            for start in range(0, rows, _ROWS):
                file.write(self.rows(range(start, min(start + _ROWS, rows))).tobytes())


def _find(checkpoint: Checkpoint) -> _Place:
    converted = checkpoint.folder / FILE
    if converted.is_file():
        with converted.open("rb") as file:
            return _in_npy(converted, file)
    with checkpoint.weights.open("rb") as file:
        read = _in_safetensors if checkpoint.weights.suffix == ".safetensors" else _in_pytorch
        return read(checkpoint.weights, file)


def _in_npy(path: Path, file: IO[bytes]) -> _Place:
    version = np.lib.format.read_magic(file)
    if version != (1, 0):
        raise ValueError(f"{path.name} is of version {version}")
    shape, by_columns, dtype = np.lib.format.read_array_header_1_0(file)
    if by_columns:
        raise ValueError(f"{path.name} is stored by columns")
    return _Place(path, file.tell(), shape, dtype)


def _in_safetensors(path: Path, file: IO[bytes]) -> _Place:
    length = int.from_bytes(file.read(8), "little")
    if length > _LARGEST_HEADER:
        raise ValueError("its header is too large")
    said = json.loads(file.read(length))[TENSOR]
    dtype = _TYPES.get(said["dtype"], np.dtype(np.void))
    return _Place(path, 8 + length + int(said["data_offsets"][0]), tuple(map(int, said["shape"])), dtype)


_LARGEST_HEADER = 1 << 20
"""Bytes of what a file says of its tensors, here some tens of thousands."""


def _in_pytorch(path: Path, file: IO[bytes]) -> _Place:
    """What `torch.save` writes is a zip of a pickle and, not compressed, each tensor's bytes."""
    with zipfile.ZipFile(file) as parts:
        (index,) = (part for part in parts.infolist() if part.filename.endswith("/data.pkl"))
        if index.file_size > _LARGEST_HEADER:
            raise ValueError("its index is too large")
        with parts.open(index) as pickled:
            tensors = _Index(pickled).load()
        for wrapper in ("state_dict", "model_state_dict", "model"):
            if isinstance(tensors.get(wrapper), dict):
                tensors = tensors[wrapper]
        tensor = tensors[TENSOR]
        part = parts.getinfo(index.filename.removesuffix("data.pkl") + f"data/{tensor.storage.key}")
        if part.compress_type != zipfile.ZIP_STORED or tensor.stride != (tensor.shape[1], 1):
            raise ValueError("it is not stored row by row")
        # Before the bytes stand 30 of the part's own header, and two texts whose lengths are its last two numbers.
        file.seek(part.header_offset + 26)
        texts = int.from_bytes(file.read(2), "little") + int.from_bytes(file.read(2), "little")
        dtype = tensor.storage.dtype
        start = part.header_offset + 30 + texts + tensor.offset * dtype.itemsize
        return _Place(path, start, tensor.shape, dtype)


@dataclass(frozen=True, slots=True)
class _Storage:
    key: str
    dtype: np.dtype[Any]


@dataclass(frozen=True, slots=True)
class _Tensor:
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]


class _Index(pickle.Unpickler):
    """Reads the mapping of names to tensors, each as where it lies. Knows three names, and so runs nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return lambda storage, offset, shape, stride, *_: _Tensor(storage, offset, shape, stride)
        if module == "torch" and name.endswith("Storage"):
            return _TYPES.get(name, np.dtype(np.void))
        raise pickle.UnpicklingError(f"it holds {module}.{name}")

    def persistent_load(self, pid: Any) -> _Storage:
        _, dtype, key, *_ = pid
        return _Storage(str(key), dtype)
