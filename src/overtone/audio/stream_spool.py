"""Streams that cannot seek, of formats that have to: read into a temporary file without a name first.

Phones and editors write the index of an MP4 at its end, so FFmpeg has to go there before it can begin.
"""

from __future__ import annotations

import io
from contextlib import suppress
from typing import Any, BinaryIO

from overtone.audio.byte_reader import ByteReader
from overtone.audio.input_errors import unreadable
from overtone.errors import Code, InputError
from overtone.system.memory import GIB, format_size
from overtone.system.temporary_files import map_temporary_errors, unnamed_file

MAX_SPOOLED_BYTES = 8 * GIB
"""Most bytes of a stream that are kept. Twenty hours of video at a telephone's rates are less, and a stream without an
end must not fill the disk."""

_HEAD_BYTES = 65_536
"""Bytes at the front in which the index of an MP4 has to begin if it is to be read as it comes."""

_READ_BYTES = 1 << 20

_SEEKING = (b"caff", b"MAC ", bytes.fromhex("b7d800203749da11"))
"""First bytes of formats that FFmpeg reads back and forth: CAF, Monkey's Audio and WTV."""

_BOXES = frozenset((b"ftyp", b"free", b"skip", b"wide", b"uuid", b"pnot", b"mdat", b"moov", b"moof", b"styp", b"sidx"))
"""Boxes at the front of an MP4 or QuickTime file."""


def seekable(file: Any, name: str) -> tuple[Any, BinaryIO | None]:
    """A file to read in the place of one that stands at its start, and the same again if it is to be closed.

    It is the same one where that can seek or need not. InputError: it cannot be read, or is longer than is kept;
    UsageError where the disk takes no temporary file.
    """
    with suppress(Exception):
        if file.seekable():
            return file, None
    reader = ByteReader(file)
    head = _Head(reader, name)
    if not _has_to_seek(head):
        return BegunStream(head.data, file), None
    with map_temporary_errors():
        spool = unnamed_file()
    try:
        _copy(head, spool, name)
    except BaseException:
        spool.close()
        raise
    # The system's own file, which can be handed to another process as it is open.
    return getattr(spool, "raw", spool), spool  # type: ignore[return-value] # IO[bytes]


class _Head:
    """The first bytes of a stream, read as far as they are asked for."""

    def __init__(self, reader: ByteReader, name: str) -> None:
        self.data = b""
        self._reader, self._name = reader, name
        self.ended = False

    def more(self, size: int) -> bytes:
        """At most `size` bytes more; none at the end. InputError where it cannot be read."""
        data = self._reader.read(size)
        self._reader.raise_interrupt()
        if self._reader.error is not None:
            raise unreadable(self._name, self._reader.error)
        self.ended = not data
        return data

    def until(self, stop: int) -> bytes:
        """All of the first `stop` bytes, fewer at the end."""
        while len(self.data) < stop and not self.ended:
            self.data += self.more(stop - len(self.data))
        return self.data[:stop]


def _has_to_seek(head: _Head) -> bool:
    """True for a format that FFmpeg reads back and forth, by its first bytes."""
    if head.until(8).startswith(_SEEKING):
        return True
    if head.data[4:8] not in _BOXES:
        return False
    at = 0
    while at < _HEAD_BYTES:
        start = head.until(at + 16)[at:]
        size, kind = int.from_bytes(start[:4], "big"), start[4:8]
        if kind in (b"moov", b"moof", b"sidx"):
            return False  # the index comes first, or in pieces
        if size == 1:
            size = int.from_bytes(start[8:16], "big")
        if kind == b"mdat" or size < 8 or len(start) < 8:
            break
        at += size
    return True


def _copy(head: _Head, spool: Any, name: str) -> None:
    data, size = head.data, 0
    while data:
        size += len(data)
        if size > MAX_SPOOLED_BYTES:
            text = (
                f"{name}: its index is at its end, and more than {format_size(MAX_SPOOLED_BYTES)} came before it; save "
                "it as a file, and name that"
            )
            raise InputError(text, code=Code.UNREADABLE)
        with map_temporary_errors():
            spool.write(data)
        data = head.more(_READ_BYTES)
    with map_temporary_errors():
        spool.flush()
        spool.seek(0)


class BegunStream(io.RawIOBase):
    """A stream, `file`, whose first bytes, `head`, were read already."""

    def __init__(self, head: bytes, file: Any) -> None:
        super().__init__()
        self.head, self.file = head, file

    def read(self, size: int = -1) -> Any:
        """The next bytes; of the head and the file together, as the header is looked at in one piece."""
        if 0 <= size <= len(self.head):
            data, self.head = self.head[:size], self.head[size:]
            return data
        head, self.head = self.head, b""
        return head + (self.file.read(size if size < 0 else size - len(head)) or b"")
