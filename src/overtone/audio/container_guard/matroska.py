"""Tags, attachments and tracks of Matroska and WebM (RFC 9559, RFC 8794)."""

from __future__ import annotations

from dataclasses import dataclass

from overtone.audio.byte_edits import Edits
from overtone.audio.container_guard import limits
from overtone.audio.container_guard.header_view import HeaderError, HeaderView

EBML = b"\x1a\x45\xdf\xa3"

_SEGMENT, _CLUSTER, _SEEK_HEAD = 0x18538067, 0x1F43B675, 0x114D9B74
_SEEK, _SEEK_POSITION = 0x4DBB, 0x53AC
_TAGS, _ATTACHMENTS, _TRACKS = 0x1254C367, 0x1941A469, 0x1654AE6B
_SIMPLE_TAG = b"\x67\xc8"
_VOID = 0xEC
_CODEC_PRIVATE = 0x63A2
_TARGETS = 64
"""Entries of a seek head that FFmpeg follows."""


@dataclass(frozen=True, slots=True)
class Element:
    """An element: its id, where it and its body begin, and the size of the body; None if that is not known yet."""

    id: int
    at: int
    body: int
    size: int | None


def look(view: HeaderView, start: int, edits: Edits) -> None:
    """Hide oversized tags and attachments. HeaderError for tracks that claim more than the file can hold."""
    at = start
    while (element := _element(view, at)) is not None and element.id != _SEGMENT:
        if element.size is None:
            return
        at = element.body + element.size
    if element is None:
        return
    segment, seen = element.body, set[int]()
    targets: list[int] = []
    at = segment
    while (element := _element(view, at)) is not None and element.id != _CLUSTER:
        seen.add(at)
        _level_1(view, element, edits, targets, segment)
        if element.size is None:
            break
        at = element.body + element.size
    while targets:
        at = targets.pop()
        if at not in seen and (element := _element(view, at)) is not None:
            seen.add(at)
            if len(seen) > limits.TAG_COUNT:
                raise HeaderError(f"its header has more than {limits.TAG_COUNT} parts")
            _level_1(view, element, edits, targets, segment)


def _level_1(view: HeaderView, element: Element, edits: Edits, targets: list[int], segment: int) -> None:
    size = element.size
    if element.id == _SEEK_HEAD and size is not None:
        targets += [segment + position for position in _positions(view, element.body, element.body + size)]
    elif element.id == _TRACKS and size is not None:
        _tracks(view, element.body, element.body + size)
    elif element.id in (_TAGS, _ATTACHMENTS):
        if size is None:
            raise HeaderError("its tags do not say how long they are")
        oversized = size > limits.TAG_BYTES
        if element.id == _TAGS and not oversized:
            oversized = _simple_tags(view, element.body, size) > limits.SIMPLE_TAGS
        if oversized:
            edits.patches[element.at] = _void(element.body - element.at, size)


def _simple_tags(view: HeaderView, at: int, size: int) -> int:
    """Simple tags at most: their id may stand in other bytes, too."""
    found, end = 0, at + size
    while at < end and found <= limits.SIMPLE_TAGS:
        data = view.read(at, min(end - at, 65_536))
        if len(data) < 2:
            break
        found += data.count(_SIMPLE_TAG)
        at += len(data) - 1
    return found


def _void(head: int, size: int) -> bytes:
    """An element that means nothing, in place of the head of another: `head` bytes, and a body of `size`."""
    length = min(head - 1, 8)
    value = size + head - 1 - length
    return bytes([_VOID]) + (value | 1 << 7 * length).to_bytes(length, "big")


def _positions(view: HeaderView, at: int, end: int) -> list[int]:
    found: list[int] = []
    while at < end and len(found) < _TARGETS and (seek := _element(view, at)) is not None and seek.size is not None:
        inner, inner_end = seek.body, seek.body + seek.size
        while seek.id == _SEEK and inner < inner_end and (part := _element(view, inner)) is not None:
            if part.size is None:
                break
            if part.id == _SEEK_POSITION and part.size <= 8 and (position := view.number(part.body, part.size)):
                found.append(position)
            inner = part.body + part.size
        at = inner_end
    return found


def _tracks(view: HeaderView, at: int, end: int) -> None:
    """HeaderError if what a decoder is to be given is oversized: FFmpeg makes room for it before it reads it."""
    while at < end and (track := _element(view, at)) is not None and track.size is not None:
        inner, inner_end = track.body, track.body + track.size
        while inner < min(inner_end, end) and (part := _element(view, inner)) is not None and part.size is not None:
            if part.id == _CODEC_PRIVATE and part.size > limits.TAG_BYTES:
                found = f"its track claims {part.size:,} bytes of settings for the decoder"
                raise HeaderError(f"{found}; {limits.TAG_BYTES:,} are allowed")
            inner = part.body + part.size
        at = inner_end


def _element(view: HeaderView, at: int) -> Element | None:
    head = view.read(at, 12)
    if len(head) < 2 or head[0] < 0x10:
        return None
    id_bytes = 9 - head[0].bit_length()
    first = head[id_bytes] if len(head) > id_bytes else 0
    size_bytes = 9 - first.bit_length()
    field = head[id_bytes : id_bytes + size_bytes]
    if not first or len(field) < size_bytes:
        return None
    value = int.from_bytes(field, "big") & (1 << 7 * size_bytes) - 1
    size = None if value == (1 << 7 * size_bytes) - 1 else value
    return Element(int.from_bytes(head[:id_bytes], "big"), at, at + id_bytes + size_bytes, size)
