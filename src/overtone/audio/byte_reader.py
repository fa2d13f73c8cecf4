"""`ByteReader`: a Python file as FFmpeg sees it."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from typing import Any

_HEAD_BYTES = 65_536


class ByteReader:
    """A file that FFmpeg reads through callbacks from C.

    It never raises into C, where PyAV could only print, but keeps the first exception as `error`. It never hands
    over more than was asked for, which PyAV would write past its buffer. Offsets count from where the file stood.
    `head`: the first bytes, as far as they were read in order.
    """

    def __init__(self, file: Any) -> None:
        self._file = file
        self.error: BaseException | None = None
        self.head = b""
        self._sequential = True
        self._peeked = b""
        self._base: int | None = None
        with suppress(Exception):
            if file.seekable():
                self._base = file.tell()

    def seekable(self) -> bool:
        """True where FFmpeg may seek."""
        return self._base is not None

    def peek(self, size: int) -> bytes:
        """At most `size` bytes from the current position, without moving it."""
        self._peeked = self._peeked or self.read(size)
        return self._peeked

    def read(self, size: int) -> bytes:
        """At most `size` bytes; none at the end and after an error."""
        if self._peeked:
            data, self._peeked = self._peeked[:size], self._peeked[size:]
            return data
        try:
            data = self._file.read(size)
            if data is None:
                raise BlockingIOError(errno.EAGAIN, "the stream is in non-blocking mode")
            if not isinstance(data, bytes):
                raise TypeError(f"read() gave {type(data).__name__}, not bytes; open the file in binary mode")
            if len(data) > size:
                raise ValueError(f"read({size}) gave {len(data)} bytes")
        except BaseException as error:  # noqa: BLE001 - FFmpeg is on the stack; kept, and raised once it is not
            self.error = self.error or error
            return b""
        if self._sequential and len(self.head) < _HEAD_BYTES:
            self.head += data
        return data

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to an offset and return the new position, or -1, FFmpeg's "cannot"."""
        peeked, self._peeked = len(self._peeked), b""
        try:
            base = self._base or 0
            offset -= peeked if whence == os.SEEK_CUR else 0  # those are read, but not by FFmpeg
            position: int = self._file.seek(offset + base if whence == os.SEEK_SET else offset, whence)
            self._sequential = False
            return position - base
        except BaseException as error:  # noqa: BLE001 - as above
            if not isinstance(error, Exception):
                self.error = self.error or error
            return -1

    def tell(self) -> int:
        """The current position."""
        return self.seek(0, os.SEEK_CUR)

    def raise_interrupt(self) -> None:
        """Raise a KeyboardInterrupt (or its like) that came while FFmpeg was reading."""
        if self.error is not None and not isinstance(self.error, Exception):
            raise self.error
