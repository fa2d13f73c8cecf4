"""Metadata blocks of FLAC (RFC 9639, section 8)."""

from __future__ import annotations

from overtone.audio.byte_edits import Edits
from overtone.audio.container_guard import limits
from overtone.audio.container_guard.header_view import HeaderView

_PADDING, _COMMENTS, _PICTURE = 1, 4, 6
_STREAMINFO = 0
_LAST = 0x80


def look(view: HeaderView, start: int, edits: Edits) -> None:
    """Hide oversized blocks that are not audio, as padding."""
    at, pictures, shown = start + 4, 0, 0
    while len(header := view.read(at, 4)) == 4:
        kind, size = header[0] & 0x7F, int.from_bytes(header[1:], "big")
        pictures += kind == _PICTURE
        too_many = pictures > limits.PICTURES if kind == _PICTURE else _too_many_comments(view, at + 4, kind)
        if kind not in (_STREAMINFO, _PADDING):
            if too_many or shown + size > limits.TAG_BYTES:
                edits.patches[at] = bytes([header[0] & _LAST | _PADDING])
            else:
                shown += size
        if header[0] & _LAST or kind == 0x7F:
            return
        at += 4 + size


def _too_many_comments(view: HeaderView, body: int, kind: int) -> bool:
    if kind != _COMMENTS:
        return False
    vendor = view.number(body, 4, "<")
    count = None if vendor is None else view.number(body + 4 + vendor, 4, "<")
    return count is not None and count > limits.TAG_COUNT
