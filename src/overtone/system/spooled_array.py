"""Array that may grow without bound, in bounded memory: kept in memory while small, in a private temporary file after.

Ten hours of frame embeddings are gigabytes; they are written once, in order, and read once, in order.
"""

from __future__ import annotations

import io
import os
import weakref
from collections.abc import Iterator
from contextlib import suppress
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from overtone.system.temporary_files import map_temporary_errors, unnamed_file

IN_MEMORY_BYTES = 128 << 10
"""Bytes that one spool keeps in memory before it moves to a file. Hundreds of them may be under way at once."""


class SpooledArray:
    """An append-only array of equal rows. Not thread-safe; one writer, then readers one at a time.

    `numpy()` reads all of it, as NumPy's functions do; `chunks()` reads it piece by piece. A pickle or a copy holds all
    of the rows.

    Parameters
    ----------
    width
        Numbers in a row; None makes a one-dimensional array.
    dtype
        Type of the numbers.
    in_memory
        Keep all of it in memory, whatever its size: for rows that are there already, in a larger form.
    """

    def __init__(self, width: int | None, dtype: npt.DTypeLike = np.float32, *, in_memory: bool = False) -> None:
        self.dtype: np.dtype[Any] = np.dtype(dtype)
        self._row = () if width is None else (width,)
        self._rows = 0
        self._file: IO[bytes] = io.BytesIO()
        self._in_memory = in_memory
        self._moved = False

    def __reduce__(self) -> tuple[object, ...]:
        return _with_rows, (self._row[0] if self._row else None, self.dtype.str, self.numpy())

    def __len__(self) -> int:
        return self._rows

    def __repr__(self) -> str:
        return f"SpooledArray(shape={self.shape}, dtype={self.dtype})"

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the whole array."""
        return (self._rows, *self._row)

    @property
    def row_bytes(self) -> int:
        """Bytes of one row."""
        return int(np.prod(self._row, dtype=int)) * self.dtype.itemsize

    def append(self, rows: npt.NDArray[Any]) -> None:
        """Add rows, shape (n, width) or (n,).

        ValueError for any other shape. UsageError (no_space, unwritable), which names the folder, where the array has
        outgrown memory and temporary files cannot be written; it is of no use any more then.
        """
        if rows.shape[1:] != self._row:
            raise ValueError(f"rows of shape {rows.shape[1:]} do not fit a spool of {self._row}")
        data = np.ascontiguousarray(rows, self.dtype).tobytes()
        if not (self._in_memory or self._moved) and self._rows * self.row_bytes + len(data) > IN_MEMORY_BYTES:
            self._move()
        self._write(data)
        self._rows += len(rows)

    def _write(self, data: bytes) -> None:
        with map_temporary_errors():
            self._file.seek(0, io.SEEK_END)
            self._file.write(data)
            # A full disk is told of here and now, and not to whoever reads.
            self._file.flush()

    def _move(self) -> None:
        """Go on in a file, which has no name from the start, so that nothing is left after a kill."""
        kept = self._file
        with map_temporary_errors():
            self._file = unnamed_file()
        self._moved = True
        weakref.finalize(self, _close, self._file)
        kept.seek(0)
        self._write(kept.read())

    def chunks(self, rows: int = 4096) -> Iterator[npt.NDArray[Any]]:
        """The array in order, at most `rows` rows at a time."""
        for first in range(0, self._rows, rows):
            count = min(rows, self._rows - first)
            raw = self._read(first * self.row_bytes, count * self.row_bytes)
            yield np.frombuffer(raw, self.dtype).reshape(count, *self._row)

    def _read(self, at: int, size: int) -> bytes:
        if self._moved:
            return os.pread(self._file.fileno(), size, at)  # a fork of this process shares the file's position
        self._file.seek(at)
        return self._file.read(size)

    def numpy(self) -> npt.NDArray[Any]:
        """The whole array in memory."""
        out = np.empty(self.shape, self.dtype)
        first = 0
        for chunk in self.chunks():
            out[first : first + len(chunk)] = chunk
            first += len(chunk)
        return out

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> npt.NDArray[Any]:
        if copy is False:
            raise ValueError("a spooled array is read into a new array; there is none that could be shared.")
        return self.numpy() if dtype is None else self.numpy().astype(dtype, copy=False)

    def close(self) -> None:
        """Free memory and file now; also done when the spool is collected."""
        _close(self._file)
        self._rows = 0


def _close(file: IO[bytes]) -> None:
    # What a full disk has not taken is tried once more, and is of no use to anybody.
    with suppress(OSError):
        file.close()


def _with_rows(width: int | None, dtype: str, rows: npt.NDArray[Any]) -> SpooledArray:
    """An array with its own file, for a copy or another process."""
    array = SpooledArray(width, dtype)
    array.append(rows)
    return array
