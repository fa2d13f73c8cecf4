"""`Track`: claims that the tables of one track of an MP4 make, and whether they can be true."""

from __future__ import annotations

from overtone.audio.container_guard import limits
from overtone.audio.container_guard.header_view import HeaderError, HeaderView

_ENTRY_BYTES = {b"stts": 8, b"ctts": 8, b"stsc": 12, b"stco": 4, b"co64": 8, b"stss": 4, b"stps": 4}
TABLES = frozenset((*_ENTRY_BYTES, b"stsz", b"stz2", b"trun", b"elst", b"sbgp", b"hdlr"))
"""Boxes that `Track.add` takes."""

_OF_EACH_SAMPLE = (0x100, 0x200, 0x400, 0x800)  # flags of a run: four bytes for each sample
_READ_GROUPS = b"rap "
"""The kind of groups of samples that FFmpeg reads."""

_READ_AT_ONCE = 3072  # a multiple of an entry of `stsc`
_CHUNK_SAMPLES = 1024
"""Samples that FFmpeg makes one entry of, where each has a duration of 1: uncompressed audio."""


class Track:
    """Claims of one track so far."""

    def __init__(self, view: HeaderView) -> None:
        self._view = view
        self._samples = self._unsized = self._edits = self._chunks = 0
        self._chunk_table: tuple[int, int] | None = None
        self._handlers: set[bytes] = set()
        self._one_each = False

    def add(self, kind: bytes, body: int, end: int | None) -> None:
        """Take note of a table, from `body` to `end`. HeaderError if it claims more than the file has bytes for."""
        view = self._view
        count = view.number(body + 4, 4) or 0
        named = kind.decode("ascii")
        if kind == b"hdlr":
            self._handlers.add(view.read(body + 8, 4))
        elif kind in (b"stsz", b"stz2"):
            self._add_sizes(kind, body)
        elif kind == b"trun":
            self._add_run(body, count)
        elif kind == b"elst":  # FFmpeg looks at its size as well
            entry_bytes = 20 if view.number(body, 1) == 1 else 12
            self._edits += count if end is None else min(count, max(end - body - 8, 0) // entry_bytes)
        elif kind == b"sbgp":  # behind the kind of group and, since version 1, a parameter
            at = body + (12 if view.number(body, 1) else 8)
            if view.read(body + 4, 4) == _READ_GROUPS:
                view.check_table(named, at + 4, view.number(at, 4) or 0, 8)
        else:
            view.check_table(named, body + 8, count, _ENTRY_BYTES[kind])
            if kind == b"stsc":
                self._chunk_table = body + 8, count
            elif kind in (b"stco", b"co64"):
                self._chunks = max(self._chunks, count)
            elif kind == b"stts":
                self._one_each = count == 1 and view.number(body + 12, 4) == 1

    def _add_sizes(self, kind: bytes, body: int) -> None:
        constant, count = self._view.number(body + 4, 4) or 0, self._view.number(body + 8, 4) or 0
        if kind == b"stz2" or not constant:
            bits = constant & 0xFF if kind == b"stz2" else 32
            self._view.check_table(kind.decode("ascii"), body + 12, count, bits / 8)
        else:
            self._unsized = max(self._unsized, count)
        self._samples = max(self._samples, count)

    def _add_run(self, body: int, count: int) -> None:
        flags = self._view.number(body + 1, 3) or 0
        entry_bytes = 4 * sum(bool(flags & flag) for flag in _OF_EACH_SAMPLE)
        if entry_bytes:
            self._view.check_table("trun", body + 8, count, entry_bytes)
        else:
            self._unsized += count
        self._samples += count

    def check(self) -> None:
        """HeaderError if there are more samples than the file has bytes, or more edits of them than anybody makes."""
        in_chunks = self._one_each and b"soun" in self._handlers and b"vide" not in self._handlers
        entries = self._entries_in_chunks() if in_chunks else self._samples
        unsized = entries if in_chunks else self._unsized
        size = self._view.size
        if unsized > max(limits.HARMLESS_SAMPLES, limits.MOST_SAMPLES if size is None else size):
            found = "a stream can have" if size is None else f"the {size:,} bytes of the file can be"
            raise HeaderError(f"a track of it claims {unsized:,} samples, more than {found}")
        if self._edits * entries > max(limits.EDITED_SAMPLES, limits.EDITS * entries):
            found = f"a track of it has {self._edits:,} edits of {entries:,} samples"
            raise HeaderError(f"{found}; {limits.EDITS} edits, or {limits.EDITED_SAMPLES:,} together are allowed")

    def _entries_in_chunks(self) -> int:
        """Entries that FFmpeg makes of uncompressed audio: one for each 1024 samples of a chunk."""
        if self._chunk_table is None:
            return 0
        at, count = self._chunk_table
        end = at + 12 * min(count, limits.PARTS)
        found, before, each = 0, 1, 0
        while at < end and (data := self._view.read(at, min(end - at, _READ_AT_ONCE))):
            for offset in range(0, len(data) - 11, 12):
                first = int.from_bytes(data[offset : offset + 4], "big")
                found += max(min(first, self._chunks + 1) - before, 0) * each
                before = max(first, before)
                each = -(-int.from_bytes(data[offset + 4 : offset + 8], "big") // _CHUNK_SAMPLES)
            at += len(data)
        return found + max(self._chunks + 1 - before, 0) * each
