"""Metadata blocks of FLAC: hidden where they are oversized, and never heard."""

from __future__ import annotations

import numpy as np
import pytest

from helpers.audio_files import encoded, voice
from helpers.decoding import decode
from helpers.headers import comments, edits_of
from overtone.audio.container_guard import limits

FLAC = encoded(voice(0.5), 16_000, "flac", "flac")
FIRST = 4 + 4 + 34  # behind the stream's own block


def block(kind: int, body: bytes) -> bytes:
    return bytes([kind]) + len(body).to_bytes(3, "big") + body


BLOCKS = {
    "some comments": (block(4, comments(50)), 0),
    "many comments": (block(4, comments(limits.TAG_COUNT + 1)), 1),
    "a cover": (block(6, bytes(300_000)), 0),
    "a large cover": (block(6, bytes(limits.TAG_BYTES + 1)), 1),
    "many covers": (block(6, bytes(50)) * (limits.PICTURES + 3), 3),
    "covers that are large together": (block(6, bytes(limits.TAG_BYTES // 3 - 1000)) * 4, 1),
}


@pytest.mark.parametrize("what", BLOCKS)
def test_oversized_blocks_become_padding(what: str) -> None:
    made, hidden = BLOCKS[what]
    data = FLAC[:FIRST] + made + FLAC[FIRST:]
    patches = edits_of(data).patches
    assert list(patches.values()) == [b"\x01"] * hidden
    assert all(data[at] in (4, 6) for at in patches)
    heard, decoder = decode(data)
    assert np.array_equal(heard, decode(FLAC)[0])
    assert decoder.warnings == ()


def test_a_last_block_stays_the_last() -> None:
    at = FIRST
    while not FLAC[at] & 0x80:
        at += 4 + int.from_bytes(FLAC[at + 1 : at + 4], "big")
    after = at + 4 + int.from_bytes(FLAC[at + 1 : at + 4], "big")
    last = block(0x84, comments(5000))
    data = FLAC[:FIRST] + last + FLAC[after:]
    assert edits_of(data).patches == {FIRST: b"\x81"}
    assert np.array_equal(decode(data)[0], decode(FLAC)[0])
