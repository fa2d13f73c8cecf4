"""ID3v2 tags: at the front of any file, and inside chunks of WAV and AIFF (id3.org, ID3v2.2 to 2.4)."""

from __future__ import annotations

from collections.abc import Iterator

from overtone.audio.container_guard import limits
from overtone.audio.container_guard.header_view import HeaderError, HeaderView

_HEADER_BYTES = 10
_UNSYNCHRONIZED, _FOOTER = 0x80, 0x10


def oversized(view: HeaderView) -> int:
    """Bytes of the tags at the front, if they are too many or too large to be shown; else 0.

    HeaderError where they claim to go on past the end of the file.
    """
    frames = end = 0
    too_much = False
    for tags, (start, end) in enumerate(_tags(view), start=1):
        if not too_much:
            frames += count_frames(view, start, end)
            too_much = max(tags, frames) > limits.TAG_COUNT or end > limits.TAG_BYTES
    if too_much and view.size is not None and end >= view.size:
        raise HeaderError(f"its ID3 tag claims {end:,} bytes, and the file has {view.size:,}: no audio is left")
    return end if too_much else 0


def end_of_tags(view: HeaderView) -> int:
    """The offset behind the tags at the front."""
    return max((end for _, end in _tags(view)), default=0)


def count_frames(view: HeaderView, start: int, end: int) -> int:
    """Frames of a tag, counted to one more than may be shown."""
    header = view.read(start, _HEADER_BYTES)
    if len(header) < _HEADER_BYTES or header[:3] != b"ID3":
        return 0
    version = header[3]
    head = 6 if version <= 2 else 10
    at, found = start + _HEADER_BYTES, 0
    while at + head <= end and found <= limits.TAG_COUNT:
        frame = view.read(at, head)
        if len(frame) < head or frame[0] == 0:  # padding
            break
        found += 1
        at += head + (int.from_bytes(frame[3:6], "big") if version <= 2 else _frame_bytes(frame[4:8], version))
    return found


def _tags(view: HeaderView) -> Iterator[tuple[int, int]]:
    """(start, end) of each tag at the front: FFmpeg reads any number of them."""
    at = 0
    while len(header := view.read(at, _HEADER_BYTES)) == _HEADER_BYTES and _is_tag(header):
        end = at + _HEADER_BYTES + _syncsafe(header[6:]) + (_HEADER_BYTES if header[5] & _FOOTER else 0)
        yield at, end
        at = end


def _is_tag(header: bytes) -> bool:
    return header[:3] == b"ID3" and header[3] != 0xFF and header[4] != 0xFF and max(header[6:]) < 0x80


def _syncsafe(data: bytes) -> int:
    return data[0] << 21 | data[1] << 14 | data[2] << 7 | data[3]


def _frame_bytes(data: bytes, version: int) -> int:
    """The size of a frame; the smaller reading where writers of 2.4 have not heard of its seven bits."""
    plain = int.from_bytes(data, "big")
    return plain if version == 3 or max(data) > 0x7F else min(plain, _syncsafe(data))
