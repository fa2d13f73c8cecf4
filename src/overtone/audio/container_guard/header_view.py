"""`HeaderView`: the start of a file, or any of it that can be sought, as a guard reads it."""

from __future__ import annotations

from collections.abc import Callable

from overtone.audio.container_guard import limits

_WINDOW_BYTES = 1024


_CONVERT = "convert it to WAV or FLAC with other software"


class HeaderError(Exception):
    """A header that is refused. Its text says what was found and the limit; `remedy` what to do."""

    def __init__(self, found: str, remedy: str = _CONVERT) -> None:
        super().__init__(found)
        self.remedy = remedy


class HeaderView:
    """Bytes by their offset.

    read_at: gives bytes at an offset, none past the end. size: of the file in bytes, None where it is not known.
    """

    def __init__(self, read_at: Callable[[int, int], bytes], size: int | None) -> None:
        self._read_at = read_at
        self.size = size
        self._parts = 0
        self._start, self._window = 0, b""

    def read(self, offset: int, size: int) -> bytes:
        """At most `size` bytes at an offset. HeaderError once it was asked for more often than a header has parts."""
        self._parts += 1
        if self._parts > limits.PARTS:
            raise HeaderError(f"its header has more than {limits.PARTS:,} parts")
        at = offset - self._start
        if not 0 <= at <= at + size <= len(self._window):
            self._start, self._window = offset, self._read_at(offset, max(size, _WINDOW_BYTES))
            at = 0
        return self._window[at : at + size]

    def number(self, offset: int, size: int, order: str = ">") -> int | None:
        """An unsigned number of `size` bytes; None past the end."""
        data = self.read(offset, size)
        return int.from_bytes(data, "big" if order == ">" else "little") if len(data) == size else None

    def left(self, offset: int) -> int | None:
        """Bytes from an offset to the end; None where the size is not known."""
        return None if self.size is None else max(self.size - offset, 0)

    def after(self, offset: int) -> HeaderView:
        """The same file from an offset on."""
        return HeaderView(lambda at, size: self._read_at(at + offset, size), self.left(offset))

    def check_table(self, kind: str, offset: int, count: int, entry_bytes: float) -> None:
        """HeaderError if a table of `count` entries from `offset` on cannot be in the file."""
        left = self.left(offset)
        fits = limits.MOST_SAMPLES * entry_bytes if left is None else left
        if count > limits.HARMLESS and count * entry_bytes > fits:
            what = "can be in a stream" if left is None else f"the {left:,} bytes that follow can hold"
            raise HeaderError(f"its {kind} table claims {count:,} entries, more than {what}")
