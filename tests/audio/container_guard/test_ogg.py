"""Comments of Ogg streams: emptied where there are too many, refused where they are too large, and never heard."""

from __future__ import annotations

import struct
from collections.abc import Callable

import numpy as np
import pytest

from helpers.audio_files import encoded, voice
from helpers.decoding import decode, refused
from helpers.headers import comments, edits_of
from overtone.audio.container_guard import limits
from overtone.audio.container_guard.ogg import _checksum


def pages(data: bytes) -> list[tuple[bytes, bytes, bytes]]:
    """(head, lacing, body) of each page."""
    found, at = [], 0
    while at < len(data):
        lacing = data[at + 27 : at + 27 + data[at + 26]]
        body = at + 27 + len(lacing)
        found.append((data[at : at + 27], lacing, data[body : body + sum(lacing)]))
        at = body + sum(lacing)
    return found


def page(head: bytes, lacing: bytes, body: bytes, number: int, continued: bool = False) -> bytes:
    flags = head[5] & 0xFE | continued
    whole = head[:5] + bytes([flags]) + head[6:18] + struct.pack("<I4xB", number, len(lacing)) + lacing + body
    return whole[:22] + struct.pack("<I", _checksum(whole)) + whole[26:]


def with_comments(data: bytes, packet: bytes) -> bytes:
    """A file of Opus with another packet of comments."""
    first, second, *rest = pages(data)
    lacing = b"\xff" * (len(packet) // 255) + bytes([len(packet) % 255])
    made, number = [page(*first, 0)], 1
    for at in range(0, len(lacing), 255):
        body = packet[at * 255 : (at + 255) * 255]
        made.append(page(second[0], lacing[at : at + 255], body, number, continued=at > 0))
        number += 1
    made += [page(*one, number + index) for index, one in enumerate(rest)]
    return b"".join(made)


OPUS = encoded(voice(0.5, 48_000), 48_000, "ogg", "opus")


def test_pages_made_anew_are_those_of_the_encoder() -> None:
    """Of FFmpeg's own checksums: ours are right."""
    for head, lacing, body in pages(OPUS):
        whole = head[:22] + bytes(4) + head[26:] + lacing + body
        assert _checksum(whole) == struct.unpack_from("<I", head, 22)[0]


@pytest.mark.parametrize(
    ("count", "hidden"), [(20, False), (limits.TAG_COUNT, False), (limits.TAG_COUNT + 1, True), (10_000, True)]
)
def test_too_many_comments_are_emptied(count: int, hidden: bool) -> None:
    data = with_comments(OPUS, b"OpusTags" + comments(count))
    patches = edits_of(data).patches
    assert bool(patches) == hidden
    heard, decoder = decode(data)
    assert np.array_equal(heard, decode(OPUS)[0])
    assert decoder.warnings == ()
    if hidden:
        changed = bytearray(data)
        for at, patch in patches.items():
            changed[at : at + len(patch)] = patch
        (head, lacing, body) = pages(bytes(changed))[1]
        assert body[:8] + body[16:20] == b"OpusTags" + bytes(4)
        assert _checksum(head[:22] + bytes(4) + head[26:] + lacing + body) == struct.unpack_from("<I", head, 22)[0]


@pytest.mark.parametrize("codec", ["vorbis", "flac"])
def test_comments_of_other_codecs_are_found(codec: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a limit of none, since such packets are hard to make."""
    data = encoded(voice(0.5, 16_000, 2), 16_000, "ogg", codec)
    plain, _ = decode(data)
    monkeypatch.setattr(limits, "TAG_COUNT", 0)
    assert edits_of(data).patches
    heard, _ = decode(data)
    assert np.array_equal(heard, plain)


REFUSED: dict[str, tuple[Callable[[], bytes], str]] = {
    "large": (
        lambda: b"OpusTags" + comments(1) + bytes(limits.COMMENT_BYTES),
        "its comments take more than the 16,777,216",
    ),
    "encoder": (lambda: b"OpusTags" + struct.pack("<I", 70_000) + bytes(90_000), "its encoder claims 70,000 bytes"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_oversized_comments_are_refused(what: str) -> None:
    make, text = REFUSED[what]
    error = refused(with_comments(OPUS, make()))
    assert error.code == "bad_header"
    assert text in str(error)
    assert "-map_metadata -1" in str(error)
