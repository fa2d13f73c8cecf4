"""Tags of ASF: hidden where there are too many, and never heard."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from helpers.audio_files import encoded, voice
from helpers.decoding import decode, refused
from helpers.headers import edits_of
from overtone.audio.container_guard import limits

WMA = encoded(voice(0.5, 44_100), 44_100, "asf", "wmav2")
GUID = bytes.fromhex("40a4d0d207e3d21197f000a0c95ea850")
STREAM = bytes.fromhex("9107dcb7b7a9cf118ee600c00c205365")


def texts(count: int) -> bytes:
    """An object of texts, each with a name that no other has."""
    body = struct.pack("<H", count)
    for number in range(count):
        name = f"key{number}\0".encode("utf-16-le")
        body += struct.pack("<H", len(name)) + name + struct.pack("<HH", 0, 4) + "v\0".encode("utf-16-le")
    return GUID + struct.pack("<Q", 24 + len(body)) + body


def with_object(made: bytes) -> bytes:
    """An object put first, and the size and number of all as they are then."""
    size, count = struct.unpack_from("<QI", WMA, 16)
    return WMA[:16] + struct.pack("<QI", size + len(made), count + 1) + WMA[28:30] + made + WMA[30:]


@pytest.mark.parametrize(("count", "hidden"), [(20, False), (limits.TAG_COUNT, False), (limits.TAG_COUNT + 1, True)])
def test_too_many_texts_are_hidden(count: int, hidden: bool) -> None:
    data = with_object(texts(count))
    assert edits_of(data).patches == ({30: bytes(16)} if hidden else {})
    heard, decoder = decode(data)
    assert np.array_equal(heard, decode(WMA)[0])
    assert decoder.warnings == ()


def test_a_streams_settings_of_gigabytes_are_refused() -> None:
    at = WMA.index(STREAM) + 16
    error = refused(WMA[:at] + struct.pack("<Q", 1 << 31) + WMA[at + 8 :])
    assert error.code == "bad_header"
    assert "a stream's header claims 2,147,483,648 bytes; 4,194,304 are allowed" in str(error)
