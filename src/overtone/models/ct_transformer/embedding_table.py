"""The vectors of a vocabulary's words, read from their file one by one.

The published tables are 272727 words of 1 KiB and more: 266 MiB, and 927 MiB in the larger model, where the network
itself has 12 and 150. A text has few of these words, and each is needed once. So the table is no part of the graph and
is never in memory: a row is read when its word comes (2 µs, from the system's own cache of the file). It is not mapped
either: pages once touched would count as the process's own, and a file that is replaced while it is mapped takes the
process down.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt

from overtone.errors import CheckpointError
from overtone.models.checkpoints import Checkpoint
from overtone.models.tensor_file import StoredTensor, TensorFile, TensorFileError

FILE = "embedding.npy"
"""The table in a converted model's folder: float32 (words, dim)."""

TENSOR = "embed.weight"
"""Its name among the published weights."""

_ROWS = 4096
"""Rows copied at a time."""


class EmbeddingTable:
    """A matrix on disk, of which rows are read. Its file stays open while it lives."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        """From `FILE` in the checkpoint's folder where there is one, or from the published weights. CheckpointError."""
        try:
            path, self._stored = _find(checkpoint)
            self._file = os.open(path, os.O_RDONLY)
        except TensorFileError as error:
            raise CheckpointError(
                f"{checkpoint.name}: {checkpoint.weights.name} is not a plain file of tensors ({error}); fetch it "
                "again, or convert it with `overtone models convert`."
            ) from error
        except (OSError, ValueError) as error:
            raise CheckpointError(f"{checkpoint.name}: {TENSOR} cannot be read ({error}); fetch it again.") from error
        weakref.finalize(self, os.close, self._file)
        stored = self._stored
        if len(stored.shape) != 2 or stored.kind not in ("F32", "F16") or not stored.by_rows:
            raise CheckpointError(f"{checkpoint.name}: {TENSOR} is {stored.dtype} {stored.shape}, no table of floats.")
        self._row_bytes = stored.shape[1] * stored.dtype.itemsize
        if stored.start + stored.shape[0] * self._row_bytes > os.fstat(self._file).st_size:
            raise CheckpointError(f"{checkpoint.name}: {path.name} is cut short; fetch it again.")
        self._name = path.name

    @property
    def shape(self) -> tuple[int, int]:
        """Words, and dimensions of each."""
        rows, columns = self._stored.shape
        return rows, columns

    def rows(self, ids: Sequence[int]) -> npt.NDArray[np.float32]:
        """The vectors of words, float32 (ids, dim). CheckpointError if the file has been cut short."""
        start, size = self._stored.start, self._row_bytes
        read = b"".join(os.pread(self._file, size, start + at * size) for at in ids)
        if len(read) != len(ids) * size:
            raise CheckpointError(f"{self._name} was cut short while it was in use.")
        return np.frombuffer(read, self._stored.dtype).astype(np.float32).reshape(len(ids), self.shape[1])

    def save(self, folder: Path) -> None:
        """Write it to `FILE` in a folder, for a converted model, some rows at a time."""
        rows, dim = self.shape
        with (folder / FILE).open("wb") as file:
            header = {"descr": "<f4", "fortran_order": False, "shape": (rows, dim)}
            np.lib.format.write_array_header_1_0(file, header)
            for start in range(0, rows, _ROWS):
                file.write(self.rows(range(start, min(start + _ROWS, rows))).tobytes())


def _find(checkpoint: Checkpoint) -> tuple[Path, StoredTensor]:
    converted = checkpoint.folder / FILE
    if converted.is_file():
        with converted.open("rb") as file:
            return converted, _in_npy(converted, file)
    tensors = TensorFile(checkpoint.weights).tensors
    if TENSOR not in tensors:
        raise TensorFileError(f"it has no tensor {TENSOR}")
    return checkpoint.weights, tensors[TENSOR]


def _in_npy(path: Path, file: IO[bytes]) -> StoredTensor:
    version = np.lib.format.read_magic(file)
    if version != (1, 0):
        raise ValueError(f"{path.name} is of version {version}")
    try:
        shape, by_columns, dtype = np.lib.format.read_array_header_1_0(file)
    except (TypeError, MemoryError, RecursionError, SyntaxError) as error:  # of what stands for a literal of Python's
        raise ValueError(f"{path.name} has a header that is none ({type(error).__name__})") from error
    sizes = len(shape) == 2 and all(type(size) is int and size > 0 for size in shape)
    if by_columns or dtype != np.float32 or not sizes:
        raise ValueError(f"{path.name} holds {dtype} {shape}")
    return StoredTensor("F32", shape, file.tell(), (shape[1], 1))
