"""The APE tag at the end of lossless files: Monkey's Audio, Musepack, TTA, WavPack."""

from __future__ import annotations

from overtone.audio.byte_edits import Edits
from overtone.audio.container_guard import limits
from overtone.audio.container_guard.header_view import HeaderView

STARTS = frozenset((b"MAC ", b"MP+\x07", b"MPCK", b"TTA1", b"wvpk"))
"""First bytes of files at whose end FFmpeg looks for one."""

_FOOTER_BYTES = 32
_MAGIC = b"APETAGEX"


def look(view: HeaderView, edits: Edits) -> None:
    """Hide a tag that is oversized, at the very end as FFmpeg looks for it."""
    if view.size is None or view.size < _FOOTER_BYTES:
        return
    at = view.size - _FOOTER_BYTES
    footer = view.read(at, _FOOTER_BYTES)
    size, count = int.from_bytes(footer[12:16], "little"), int.from_bytes(footer[16:20], "little")
    if footer[:8] == _MAGIC and (size > limits.TAG_BYTES or count > limits.TAG_COUNT):
        edits.patches[at] = bytes(len(_MAGIC))
