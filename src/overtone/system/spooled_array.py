"""Array that may grow without bound, in bounded memory: kept in memory while small, in a private temporary file after.

Ten hours of frame embeddings are gigabytes; they are written once, in order, and read once, in order.
"""

from __future__ import annotations

import tempfile
import weakref
from collections.abc import Iterator
from typing import IO, Any

import numpy as np
import numpy.typing as npt

IN_MEMORY_BYTES = 128 << 10
"""Bytes that one spool keeps in memory before it moves to a file. Hundreds of them may be under way at once."""


class SpooledArray:
    """An append-only array of equal rows. Not thread-safe; one writer, then readers one at a time.

    Parameters
    ----------
    width
        Numbers in a row; None makes a one-dimensional array.
    dtype
        Type of the numbers.
    """

    def __init__(self, width: int | None, dtype: npt.DTypeLike = np.float32) -> None:
        self.dtype: np.dtype[Any] = np.dtype(dtype)
        self._row = () if width is None else (width,)
        self._rows = 0
        # Without a name from the start, so that nothing is left after a kill.
        self._file: IO[bytes] = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY_BYTES)  # noqa: SIM115 - lives as long as self
        weakref.finalize(self, self._file.close)

    def __reduce__(self) -> tuple[object, ...]:
        return _with_rows, (self._row[0] if self._row else None, self.dtype.str, self.numpy())

    def __len__(self) -> int:
        return self._rows

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the whole array."""
        return (self._rows, *self._row)

    @property
    def row_bytes(self) -> int:
        """Bytes of one row."""
        return int(np.prod(self._row, dtype=int)) * self.dtype.itemsize

    def append(self, rows: npt.NDArray[Any]) -> None:
        """Add rows, shape (n, width) or (n,). ValueError for any other shape."""
        if rows.shape[1:] != self._row:
            raise ValueError(f"rows of shape {rows.shape[1:]} do not fit a spool of {self._row}")
        self._file.seek(0, 2)
        self._file.write(np.ascontiguousarray(rows, self.dtype).tobytes())
        self._rows += len(rows)

    def chunks(self, rows: int = 4096) -> Iterator[npt.NDArray[Any]]:
        """The array in order, at most `rows` rows at a time."""
        for first in range(0, self._rows, rows):
            count = min(rows, self._rows - first)
            self._file.seek(first * self.row_bytes)
            raw = self._file.read(count * self.row_bytes)
            yield np.frombuffer(raw, self.dtype).reshape(count, *self._row)

    def numpy(self) -> npt.NDArray[Any]:
        """The whole array in memory."""
        out = np.empty(self.shape, self.dtype)
        first = 0
        for chunk in self.chunks():
            out[first : first + len(chunk)] = chunk
            first += len(chunk)
        return out

    def close(self) -> None:
        """Free memory and file now; also done when the spool is collected."""
        self._file.close()
        self._rows = 0


def _with_rows(width: int | None, dtype: str, rows: npt.NDArray[Any]) -> SpooledArray:
    """An array with its own file, for a copy or another process."""
    array = SpooledArray(width, dtype)
    array.append(rows)
    return array
