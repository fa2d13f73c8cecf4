"""The APE tag at the end of a file: hidden where it is oversized, and never heard."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from helpers.audio_files import encoded, voice
from helpers.decoding import decode
from helpers.headers import edits_of
from overtone.audio.container_guard import limits


def tag(count: int, more: int = 0) -> bytes:
    """A tag of texts, each with a name that no other has, and one of so many bytes more."""
    items = [(f"key{number}".encode(), b"value") for number in range(count)] + [(b"large", bytes(more))] * bool(more)
    body = b"".join(struct.pack("<II", len(value), 0) + name + b"\0" + value for name, value in items)
    return body + b"APETAGEX" + struct.pack("<IIII8x", 2000, len(body) + 32, len(items), 0)


TAGS = {
    "some texts": (tag(20), False),
    "as many as may be": (tag(limits.TAG_COUNT), False),
    "more": (tag(limits.TAG_COUNT + 1), True),
    "a large one": (tag(1, limits.TAG_BYTES), True),
}


@pytest.mark.parametrize("what", TAGS)
@pytest.mark.parametrize(("container", "codec"), [("tta", "tta"), ("wv", "wavpack")])
def test_an_oversized_tag_is_hidden(what: str, container: str, codec: str) -> None:
    data = encoded(voice(0.5), 16_000, container, codec)
    made, hidden = TAGS[what]
    assert edits_of(data + made).patches == ({len(data + made) - 32: bytes(8)} if hidden else {})
    heard, decoder = decode(data + made)
    plain, before = decode(data)
    assert np.array_equal(heard[: len(plain)], plain)
    assert decoder.codec == before.codec
