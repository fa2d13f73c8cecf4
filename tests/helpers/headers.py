"""Headers as the guard sees them, and tags made byte by byte."""

from __future__ import annotations

import struct

from overtone.audio.byte_edits import Edits
from overtone.audio.container_guard.guard import find_edits
from overtone.audio.container_guard.header_view import HeaderView
from overtone.audio.container_guard.matroska import _CLUSTER, _SEEK_HEAD, _SEGMENT, _element


class Counted:
    """Bytes that count how often and how many of them are read."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.reads = self.read_bytes = 0

    def __call__(self, offset: int, size: int) -> bytes:
        self.reads += 1
        found = self.data[offset : offset + size]
        self.read_bytes += len(found)
        return found


def edits_of(data: bytes, *, size_known: bool = True) -> Edits:
    """What of a file is hidden. HeaderError where it is refused."""
    return find_edits(HeaderView(Counted(data), len(data) if size_known else None))


def id3(frames: bytes, claimed: int | None = None) -> bytes:
    """An ID3v2.3 tag of these frames."""
    size = len(frames) if claimed is None else claimed
    return b"ID3\x03\x00\x00" + bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0)) + frames


def id3_texts(count: int) -> bytes:
    """Frames of texts, each with a name that no other has."""
    bodies = (b"\x00" + f"key{number}".encode() + b"\x00value" for number in range(count))
    return b"".join(b"TXXX" + struct.pack(">IH", len(body), 0) + body for body in bodies)


def id3_picture(size: int) -> bytes:
    """A frame of a picture."""
    body = b"\x00image/jpeg\x00\x03\x00" + bytes(size)
    return b"APIC" + struct.pack(">IH", len(body), 0) + body


def chunk(kind: bytes, body: bytes, order: str = "<") -> bytes:
    """A chunk of RIFF, or (`>`) of AIFF."""
    return kind + struct.pack(order + "I", len(body)) + body + bytes(len(body) % 2)


def box(kind: bytes, body: bytes) -> bytes:
    """A box of an MP4."""
    return struct.pack(">I4s", 8 + len(body), kind) + body


def comments(count: int) -> bytes:
    """The list of comments of Vorbis, each with a name that no other has."""
    texts = [f"KEY{number}=value".encode() for number in range(count)]
    listed = b"".join(struct.pack("<I", len(text)) + text for text in texts)
    return struct.pack("<I", 4) + b"test" + struct.pack("<I", count) + listed


def element(id: int, body: bytes) -> bytes:
    """An element of Matroska, its size in eight bytes."""
    return id.to_bytes((id.bit_length() + 7) // 8, "big") + (len(body) | 1 << 56).to_bytes(8, "big") + body


def with_matroska_part(data: bytes, part: bytes) -> bytes:
    """A part put before the first cluster. The segment does not say how long it is, and there is no seek head."""
    view = HeaderView(Counted(data), len(data))
    at = 0
    while (found := _element(view, at)) is not None and found.id != _SEGMENT:
        at = found.body + (found.size or 0)
    assert found is not None
    head, at = data[: found.at] + b"\x18\x53\x80\x67\x01" + b"\xff" * 7, found.body
    kept = b""
    while (found := _element(view, at)) is not None and found.id != _CLUSTER:
        end = found.body + (found.size or 0)
        kept += b"" if found.id == _SEEK_HEAD else data[at:end]
        at = end
    return head + kept + part + data[at:]


def with_subtitles(data: bytes) -> bytes:
    """A Matroska file with a second track, of subtitles."""
    number, uid, kind = element(0xD7, b"\t"), element(0x73C5, b"\t"), element(0x83, b"\x11")
    return with_matroska_part(
        data, element(0x1654AE6B, element(0xAE, number + uid + kind + element(0x86, b"S_TEXT/UTF8")))
    )
