"""Comments at the start of Ogg streams (RFC 3533): Vorbis, Opus, Speex and FLAC have the same list of them."""

from __future__ import annotations

from dataclasses import dataclass

from overtone.audio.byte_edits import Edits
from overtone.audio.container_guard import limits
from overtone.audio.container_guard.header_view import HeaderError, HeaderView

_PAGE_BYTES = 27
_FIRST = 0x02  # a page that begins a stream
_CHECKSUM = 22  # its offset in a page
_POLYNOMIAL = 0x04C11DB7
_PREFIXES = (b"OpusTags", b"\x03vorbis", b"\x81theora")
_STREAMS = 64
_REMEDY = "remove its tags: ffmpeg -i in -map 0:a -map_metadata -1 -c copy out"


@dataclass(slots=True)
class _Stream:
    """Whole packets so far, and bytes of the comments, the second one."""

    packets: int = 0
    size: int = 0
    begun: bool = False


def look(view: HeaderView, start: int, edits: Edits) -> None:
    """Empty lists of comments that are too long. HeaderError where their packet is oversized."""
    streams: dict[bytes, _Stream] = {}
    at = start
    while len(page := view.read(at, _PAGE_BYTES)) == _PAGE_BYTES and page[:4] == b"OggS":
        lacing = view.read(at + _PAGE_BYTES, page[26])
        body = at + _PAGE_BYTES + len(lacing)
        serial = page[14:18]
        if page[5] & _FIRST and len(streams) < _STREAMS:
            streams[serial] = _Stream()
        stream = streams.get(serial)
        if stream is not None and stream.packets < 2:
            _page(view, at, body, lacing, stream, edits)
        if streams and all(one.packets >= 2 for one in streams.values()):
            return
        at = body + sum(lacing)


def _page(view: HeaderView, page: int, at: int, lacing: bytes, stream: _Stream, edits: Edits) -> None:
    end = at + sum(lacing)
    for length in lacing:
        if stream.packets == 1:
            if not stream.begun:
                stream.begun = True
                _comments(view, page, at, end, edits)
            stream.size += length
            if stream.size > limits.COMMENT_BYTES:
                found = f"its comments take more than the {limits.COMMENT_BYTES:,} bytes allowed"
                raise HeaderError(found, _REMEDY)
        at += length
        stream.packets += length < 255


def _comments(view: HeaderView, page: int, at: int, end: int, edits: Edits) -> None:
    """Set the number of comments to 0 where they are too many, and the page's checksum to what it is then."""
    head = view.read(at, 8)
    prefix = next((len(start) for start in _PREFIXES if head.startswith(start)), 4 if head[:1] == b"\x84" else 0)
    vendor = view.number(at + prefix, 4, "<")
    if vendor is None:
        return
    field = at + prefix + 4 + vendor
    if field + 4 > end:
        if vendor > limits.HARMLESS // 2 and end - at > limits.HARMLESS // 2:
            raise HeaderError(f"the name of its encoder claims {vendor:,} bytes", _REMEDY)
        return
    count = view.number(field, 4, "<")
    if count is None or count <= limits.TAG_COUNT:
        return
    whole = bytearray(view.read(page, end - page))
    whole[field - page : field - page + 4] = bytes(4)
    whole[_CHECKSUM : _CHECKSUM + 4] = bytes(4)
    edits.patches[field] = bytes(4)
    edits.patches[page + _CHECKSUM] = _checksum(bytes(whole)).to_bytes(4, "little")


def _checksum(data: bytes) -> int:
    value = 0
    for byte in data:
        value = (value << 8 & 0xFFFFFFFF) ^ _TABLE[value >> 24 ^ byte]
    return value


def _entry(value: int) -> int:
    value <<= 24
    for _ in range(8):
        value = (value << 1 ^ (_POLYNOMIAL if value & 0x80000000 else 0)) & 0xFFFFFFFF
    return value


_TABLE = tuple(map(_entry, range(256)))
