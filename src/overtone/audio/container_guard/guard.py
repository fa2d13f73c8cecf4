"""`guard`: a file's header looked at, and what FFmpeg may not see of it left out."""

from __future__ import annotations

from overtone.audio.byte_edits import Edits
from overtone.audio.byte_reader import ByteReader
from overtone.audio.container_guard import ape, asf, flac, id3, matroska, mp4, ogg, riff
from overtone.audio.container_guard.header_view import HeaderError, HeaderView
from overtone.errors import Code, InputError

_MAGIC_BYTES = 16


def guard(feed: ByteReader, name: str) -> None:
    """Hide oversized tags of a file from FFmpeg. InputError bad_header: it claims what it cannot hold.

    Of a stream that cannot seek, only the bytes that are peeked into (64 KiB) are looked at, and a tag at the front is
    read and dropped.
    """
    try:
        edits = find_edits(HeaderView(feed.look, feed.size()))
        feed.edit(edits)
        if edits.skip and not feed.peek(_MAGIC_BYTES) and feed.error is None:
            raise HeaderError(f"its ID3 tag claims {edits.skip:,} bytes, and it ends before them")
    except HeaderError as error:
        raise InputError(f"{name}: {error}: {error.remedy}", code=Code.BAD_HEADER) from None


def find_edits(view: HeaderView) -> Edits:
    """Edits that hide oversized tags of a file. HeaderError if it is to be refused."""
    edits = Edits(skip=id3.oversized(view))
    if edits.skip:
        view = view.after(edits.skip)
    start = 0 if edits.skip else id3.end_of_tags(view)
    magic = view.read(start, _MAGIC_BYTES)
    if magic[:4] in riff.FORMS or magic[:8] == riff.W64_START:
        riff.look(view, start, edits)
    elif magic[:4] == b"fLaC":
        flac.look(view, start, edits)
    elif magic[:4] == b"OggS":
        ogg.look(view, start, edits)
    elif magic[:4] == matroska.EBML:
        matroska.look(view, start, edits)
    elif magic == asf.HEADER:
        asf.look(view, start, edits)
    elif magic[:4] in ape.STARTS:
        ape.look(view, edits)
    else:
        mp4.look(view, start, edits)
    return edits
