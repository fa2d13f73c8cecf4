"""`ByteReader`: a Python file as FFmpeg sees it."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from typing import Any

from overtone.audio.byte_edits import Edits

_HEAD_BYTES = 65_536


class ByteReader:
    """A file that FFmpeg reads through callbacks from C.

    It never raises into C, where PyAV could only print, but keeps the first exception as `error`. It never hands
    over more than was asked for, which PyAV would write past its buffer. Offsets count from where the file stood.
    `head`: the first bytes, as far as they were read in order. FFmpeg is not shown what `edit` leaves out or replaces.
    """

    def __init__(self, file: Any) -> None:
        self._file = file
        self.error: BaseException | None = None
        self.head = b""
        self._sequential = True
        self._peeked = b""
        self._at = 0
        self._edits = Edits()
        self._base: int | None = None
        with suppress(Exception):
            if file.seekable():
                self._base = file.tell()

    def seekable(self) -> bool:
        """True where FFmpeg may seek."""
        return self._base is not None

    def peek(self, size: int) -> bytes:
        """At most `size` bytes from the current position, without moving it."""
        self._peeked = self._peeked or self._read_file(size)
        return self._peeked

    def look(self, offset: int, size: int) -> bytes:
        """At most `size` bytes at an offset, before FFmpeg reads; none past the end or where they cannot be read.

        Of a stream that cannot seek, only what was peeked at. To be followed by `edit`.
        """
        head = self.peek(_HEAD_BYTES)
        if offset + size <= len(head) or self._base is None:
            return head[offset : offset + size]
        kept, self._sequential = (self._sequential, self.error), False
        parts = []
        with suppress(Exception):  # an offset that no file has, or a seek that is not kept to
            self._file.seek(self._base + offset)
            while size > 0 and (data := self._read_file(size)):
                parts.append(data)
                size -= len(data)
        self.raise_interrupt()
        self._sequential, self.error = kept  # FFmpeg will meet the error, if it comes so far
        return b"".join(parts)

    def size(self) -> int | None:
        """Bytes from where the file stood to its end, before FFmpeg reads; None where it cannot seek.

        To be followed by `edit`.
        """
        if self._base is None:
            return None
        self.peek(_HEAD_BYTES)
        with suppress(Exception):
            end: int = self._file.seek(0, os.SEEK_END)
            return max(end - self._base, 0)
        return None

    def edit(self, edits: Edits) -> None:
        """Leave out and replace bytes, before FFmpeg reads, and go back to where it is to begin."""
        self._edits, skip = edits, edits.skip
        self.head = self.head[skip:]
        if self._base is None:
            while skip and 0 < len(self.peek(_HEAD_BYTES)) <= skip:
                skip -= len(self._peeked)
                self._peeked, self.head = b"", b""
            self._peeked, self.head = self._peeked[skip:], self._peeked[skip:]
            return
        self._base += skip
        self._peeked = self._peeked[skip:]
        try:
            self._file.seek(self._base + len(self._peeked))
        except Exception as error:  # noqa: BLE001 - as in `read`
            self.error = self.error or error

    def read(self, size: int) -> bytes:
        """At most `size` bytes; none at the end and after an error."""
        if self._peeked:
            data, self._peeked = self._peeked[:size], self._peeked[size:]
        else:
            data = self._read_file(size)
        shown = self._edits.applied(data, self._at)
        self._at += len(data)
        return shown

    def _read_file(self, size: int) -> bytes:
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
            self._at = position - base
            return self._at
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
