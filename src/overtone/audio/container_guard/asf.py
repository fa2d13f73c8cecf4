"""Objects of the header of ASF and WMA (Advanced Systems Format specification, section 3)."""

from __future__ import annotations

from overtone.audio.byte_edits import Edits
from overtone.audio.container_guard import limits
from overtone.audio.container_guard.header_view import HeaderError, HeaderView

HEADER = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_EXTENSION = bytes.fromhex("b503bf5f2ea9cf118ee300c00c205365")
_STREAM = bytes.fromhex("9107dcb7b7a9cf118ee600c00c205365")
_DATA = bytes.fromhex("3626b2758e66cf11a6d900aa0062ce6c")
_TAGS = frozenset(
    map(
        bytes.fromhex,
        (
            "40a4d0d207e3d21197f000a0c95ea850",  # extended content description
            "eacbf8c5af5b48778467aa8c44fa4cca",  # metadata
            "941c23449894d149a1411d134e457054",  # metadata library
        ),
    )
)
_GUID_BYTES, _HEAD_BYTES = 16, 24
_EXTENSION_BYTES = _HEAD_BYTES + 22
"""Bytes of a header extension before the objects in it, which FFmpeg reads like those beside it."""


def look(view: HeaderView, start: int, edits: Edits) -> None:
    """Hide lists of too many tags. HeaderError for a stream's oversized settings."""
    at = start + 30
    while (size := view.number(at + _GUID_BYTES, 8, "<")) is not None and size >= _HEAD_BYTES:
        kind = view.read(at, _GUID_BYTES)
        if kind == _DATA:
            return
        if kind == _STREAM and size > limits.TAG_BYTES:
            raise HeaderError(f"a stream's header claims {size:,} bytes; {limits.TAG_BYTES:,} are allowed")
        if kind in _TAGS and (view.number(at + _HEAD_BYTES, 2, "<") or 0) > limits.TAG_COUNT:
            edits.patches[at] = bytes(_GUID_BYTES)
        at += _EXTENSION_BYTES if kind == _EXTENSION else size
