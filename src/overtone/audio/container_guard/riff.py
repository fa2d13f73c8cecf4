"""Chunks of RIFF (WAV, AVI, RF64), AIFF, CAF and W64: each a name, a size, and so many bytes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from overtone.audio.byte_edits import Edits
from overtone.audio.container_guard import id3, limits
from overtone.audio.container_guard.header_view import HeaderError, HeaderView

FORMS = frozenset((b"RIFF", b"RF64", b"BW64", b"RIFX", b"FORM", b"caff"))

W64_START = b"riff\x2e\x91\xcf\x11"
"""The first bytes of the GUID that a W64 begins with."""

_W64_TAGS = b"\xbc\x94\x5f\x92"
"""The first bytes of the GUID of its list of texts."""

_BULK = frozenset((b"data", b"desc", b"SSND", b"JUNK", b"junk", b"PAD ", b"FLLR", b"free", b"idx1", b"pakt"))
_NEEDED = frozenset((b"fmt ", b"COMM", b"CHAN", b"wave", b"kuki", b"strf", b"strh", b"avih"))
_ELSEWHERE = 0xFFFFFFFF
_OPEN_ENDED = (1 << 64) - 1
_GUID_BYTES = 16


@dataclass(frozen=True, slots=True)
class Chunk:
    """A chunk: its name, where it and its body begin, and the size of the body that it claims."""

    kind: bytes
    at: int
    body: int
    size: int


def look(view: HeaderView, start: int, edits: Edits) -> None:
    """Hide oversized chunks that are not audio. HeaderError for an oversized one that decoding needs."""
    form = view.read(start, 12)
    hidden = b"free" if form[:4] == b"caff" else b"JUNK"
    for chunk in _chunks(view, start, form):
        if chunk.kind in _NEEDED and chunk.size > limits.TAG_BYTES:
            named = chunk.kind.decode("ascii").strip()
            raise HeaderError(f"its {named} chunk claims {chunk.size:,} bytes; {limits.TAG_BYTES:,} are allowed")
        if chunk.kind not in _NEEDED | _BULK and _is_oversized(view, chunk):
            edits.patches[chunk.at] = hidden


def _is_oversized(view: HeaderView, chunk: Chunk) -> bool:
    if chunk.size > limits.TAG_BYTES:
        return True
    end = chunk.body + chunk.size
    if chunk.kind == b"info":  # of CAF
        return (view.number(chunk.body, 4) or 0) > limits.TAG_COUNT
    if chunk.kind == _W64_TAGS:
        return (view.number(chunk.body, 4, "<") or 0) > limits.TAG_COUNT
    if chunk.kind == b"LIST":
        at, found = chunk.body + 4, 0
        while at + 8 <= end and found <= limits.TAG_COUNT and (size := view.number(at + 4, 4, "<")) is not None:
            at += 8 + size + size % 2
            found += 1
        return found > limits.TAG_COUNT
    return id3.count_frames(view, chunk.body, end) > limits.TAG_COUNT


def _chunks(view: HeaderView, start: int, form: bytes) -> Iterator[Chunk]:
    if form[:4] == b"caff":
        return _caf(view, start + 8)
    if form[:4] == b"riff":
        return _w64(view, start + 40)
    if form[:4] == b"RIFF" and form[8:] == b"AVI ":
        return _avi(view, start + 12)
    return _iff(view, start + 12, ">" if form[:4] in (b"FORM", b"RIFX") else "<")


def _iff(view: HeaderView, at: int, order: str) -> Iterator[Chunk]:
    long_bytes = None
    while (chunk := _chunk(view, at, order)) is not None:
        yield chunk
        size = chunk.size
        if chunk.kind == b"ds64":
            long_bytes = view.number(chunk.body + 8, 8, order)
        if chunk.kind == b"data" and size in (0, _ELSEWHERE):  # 0: a writer into a pipe could not know it
            if size == 0 or long_bytes is None:
                return
            size = long_bytes
        at = chunk.body + size + size % 2


def _avi(view: HeaderView, at: int) -> Iterator[Chunk]:
    """Chunks before the packets, those of lists too; FFmpeg makes no difference between levels."""
    while (chunk := _chunk(view, at, "<")) is not None:
        kind = view.read(chunk.body, 4) if chunk.kind == b"LIST" else b""
        if kind == b"movi":
            return
        if kind in (b"", b"INFO"):
            yield chunk
            at = chunk.body + chunk.size + chunk.size % 2
        else:
            at = chunk.body + 4


def _chunk(view: HeaderView, at: int, order: str) -> Chunk | None:
    size = view.number(at + 4, 4, order)
    return None if size is None else Chunk(view.read(at, 4), at, at + 8, size)


def _caf(view: HeaderView, at: int) -> Iterator[Chunk]:
    while (size := view.number(at + 4, 8)) is not None:
        chunk = Chunk(view.read(at, 4), at, at + 12, size)
        yield chunk
        if size == _OPEN_ENDED:
            return
        at = chunk.body + size


def _w64(view: HeaderView, at: int) -> Iterator[Chunk]:
    """Its names are GUIDs that begin as those of RIFF do, but in lower case for some."""
    while (size := view.number(at + _GUID_BYTES, 8, "<")) is not None and size >= _GUID_BYTES + 8:
        body = at + _GUID_BYTES + 8
        yield Chunk(view.read(at, 4), at, body, size - _GUID_BYTES - 8)
        at += -(-size // 8) * 8
