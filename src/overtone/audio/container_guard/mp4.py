"""Boxes of MP4 and QuickTime (ISO/IEC 14496-12): tables of samples, edits and fragments, and tags."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from overtone.audio.byte_edits import Edits
from overtone.audio.container_guard import limits
from overtone.audio.container_guard.header_view import HeaderError, HeaderView
from overtone.audio.container_guard.mp4_track import TABLES, Track

_MEDIA = frozenset((b"trak", b"mdia", b"minf", b"stbl", b"edts", b"mvex", b"dinf", b"moof", b"traf", b"moov"))
_TAGS = frozenset((b"udta", b"meta", b"ilst"))
_TOP = frozenset((b"moov", b"moof", b"trak", b"udta", b"meta", b"uuid", b"ilst"))
_SKIPPED = frozenset((b"mdat", b"free", b"skip", b"wide", b"junk"))
_BULK = frozenset((b"sdtp", b"senc", b"saiz", b"saio", b"sidx"))
_NEEDED = frozenset((b"stsd", b"hdlr"))
_HIDDEN = b"free"
_ODD = 10_000
"""Boxes at the top before one that is known: what comes here without being an MP4 is given up after so many."""
_DEEPEST = 12
"""Levels; FFmpeg refuses more than 10."""


@dataclass(frozen=True, slots=True)
class Box:
    """A box: its kind, where it and its body begin, and where it ends (None: with the file)."""

    kind: bytes
    at: int
    body: int
    end: int | None


def look(view: HeaderView, start: int, edits: Edits) -> None:
    """Hide oversized tags. HeaderError for tables that claim more than the file can hold."""
    fragments = 0
    run = Track(view)
    for number, box in enumerate(_boxes(view, start, None), start=1):
        if box.kind in _TOP:
            fragments += box.kind == b"moof"
            _walk(view, box, edits, run if box.kind == b"moof" else Track(view))
        if fragments >= limits.FRAGMENTS or (number == _ODD and not fragments):
            return


def _walk(view: HeaderView, top: Box, edits: Edits, track: Track) -> None:
    """Everything in a box, without recursion."""
    levels: list[tuple[Iterator[Box], Box | None]] = [(iter((top,)), None)]  # and the box of tags that each is in
    items = 0
    while levels:
        boxes, tags = levels[-1]
        if (box := next(boxes, None)) is None:
            levels.pop()
            continue
        if tags is not None:
            items += 1
            if items > limits.TAG_COUNT:
                edits.patches[tags.at + 4] = _HIDDEN
                levels = [level for level in levels if level[1] is None]
                continue
        if box.kind in _MEDIA or box.kind in _TAGS:
            if box.kind == b"trak":
                track.check()
                track = Track(view)
            if box.kind in _TAGS and tags is None:
                tags, items = box, 0
            if len(levels) < _DEEPEST:
                levels.append((_children(view, box), tags))
        elif _is_oversized(view, box):
            hidden = box if box.kind != b"keys" or tags is None else tags
            edits.patches[hidden.at + 4] = _HIDDEN
        elif box.kind in TABLES:
            track.add(box.kind, box.body, box.end)
    track.check()


def _is_oversized(view: HeaderView, box: Box) -> bool:
    if box.kind in _SKIPPED or box.end is None:
        return False
    size = box.end - box.body
    if box.kind in _NEEDED and size > limits.TAG_BYTES:
        raise HeaderError(f"its {_named(box)} box claims {size:,} bytes; {limits.TAG_BYTES:,} are allowed")
    if box.kind in TABLES:
        return False
    if box.kind in _BULK:
        view.check_table(_named(box), box.body, size, 1)
        return False
    return size > limits.TAG_BYTES or (box.kind == b"keys" and (view.number(box.body + 4, 4) or 0) > limits.TAG_COUNT)


def _children(view: HeaderView, box: Box) -> Iterator[Box]:
    body = box.body
    if box.kind == b"meta" and view.read(body + 4, 4) != b"hdlr":
        body += 4  # version and flags, which QuickTime has not
    return _boxes(view, body, box.end)


def _boxes(view: HeaderView, at: int, last: int | None) -> Iterator[Box]:
    while last is None or at + 8 <= last:
        head = view.read(at, 16)
        if len(head) < 8:
            return
        size, body = int.from_bytes(head[:4], "big"), at + 8
        if size == 1 and len(head) == 16:
            size, body = int.from_bytes(head[8:], "big"), at + 16
        end = last if size == 0 else at + size
        if end is not None and end < body:
            return
        yield Box(head[4:8], at, body, end if last is None or end is None else min(end, last))
        if end is None:
            return
        at = end


def _named(box: Box) -> str:
    return box.kind.decode("ascii", "backslashreplace")
