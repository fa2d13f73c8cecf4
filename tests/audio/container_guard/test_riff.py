"""Chunks that hold tags: hidden where they are oversized, and never heard."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from helpers.audio_files import encoded, video, voice
from helpers.decoding import decode, refused
from helpers.headers import chunk, edits_of, id3, id3_texts
from overtone.audio.container_guard import limits

VOICE = voice(0.5)
LARGE = bytes(limits.TAG_BYTES + 2)
MANY = b"".join(chunk(f"{number:04x}".encode(), b"text") for number in range(limits.TAG_COUNT + 1))
CHUNKS = {
    "large texts": chunk(b"LIST", b"INFO" + chunk(b"ICMT", LARGE)),
    "many texts": chunk(b"LIST", b"INFO" + MANY),
    "a large history": chunk(b"bext", LARGE),
    "a large tag": chunk(b"id3 ", id3(LARGE)),
    "a tag of many texts": chunk(b"ID3 ", id3(id3_texts(limits.TAG_COUNT + 1))),
    "large cue points": chunk(b"cue ", LARGE),
}


def with_chunk(data: bytes, made: bytes, at: int, order: str = "<") -> bytes:
    """A chunk put in, and the size of the whole as it is then."""
    longer = data[:at] + made + data[at:]
    return longer[:4] + struct.pack(order + "I", len(longer) - 8) + longer[8:]


@pytest.mark.parametrize("what", CHUNKS)
@pytest.mark.parametrize("where", ["before", "behind"])
def test_an_oversized_chunk_of_a_wav_is_hidden(what: str, where: str) -> None:
    data = encoded(VOICE, 16_000, "wav", "pcm_s16le")
    plain, _ = decode(data)
    at = 12 if where == "before" else len(data)
    longer = with_chunk(data, CHUNKS[what], at)
    assert edits_of(longer).patches == {at: b"JUNK"}
    heard, decoder = decode(longer)
    assert np.array_equal(heard, plain)
    assert decoder.warnings == ()


def test_a_studios_wav_is_left_as_it_is() -> None:
    data = encoded(VOICE, 16_000, "wav", "pcm_s16le")
    texts = chunk(b"LIST", b"INFO" + chunk(b"INAM", b"title") + chunk(b"ISFT", b"software"))
    for made in (
        chunk(b"bext", bytes(5000)),
        chunk(b"iXML", b"<BWFXML/>" * 1000),
        texts,
        chunk(b"id3 ", id3(id3_texts(20))),
    ):
        assert edits_of(with_chunk(data, made, 12)).patches == {}


def test_rf64_is_followed_past_four_gigabytes() -> None:
    data = encoded(VOICE, 16_000, "wav", "pcm_s16le", options={"rf64": "always"})
    assert data[:4] == b"RF64"
    assert edits_of(data + CHUNKS["large texts"]).patches == {len(data): b"JUNK"}


def test_an_oversized_chunk_of_an_aiff_is_hidden() -> None:
    data = encoded(VOICE, 16_000, "aiff", "pcm_s16be")
    longer = with_chunk(data, chunk(b"ANNO", LARGE, ">"), 12, ">")
    assert edits_of(longer).patches == {12: b"JUNK"}
    assert np.array_equal(decode(longer)[0], decode(data)[0])


def test_oversized_chunks_of_a_caf_are_hidden() -> None:
    data = encoded(VOICE, 16_000, "caf", "pcm_s16le")
    at = 8 + 12 + 32  # behind the description
    for body in (struct.pack(">I", 2000) + b"".join(b"k%d\0v\0" % number for number in range(2000)), LARGE):
        longer = data[:at] + b"info" + struct.pack(">Q", len(body)) + body + data[at:]
        assert edits_of(longer).patches == {at: b"free"}
        assert np.array_equal(decode(longer)[0], decode(data)[0])


def test_oversized_chunks_of_a_w64_are_hidden() -> None:
    data = encoded(VOICE, 16_000, "w64", "pcm_s16le")
    guid = bytes.fromhex("bc945f925a52d21186dc00c04f8edb8a")
    body = struct.pack("<I", 2000) + bytes(4) + bytes(12 * 2000)
    longer = data[:40] + guid + struct.pack("<Q", 24 + len(body)) + body + data[40:]
    assert edits_of(longer).patches == {40: b"JUNK"}
    assert np.array_equal(decode(longer)[0], decode(data)[0])


def test_oversized_texts_of_an_avi_are_hidden() -> None:
    data = video(VOICE, 16_000, "avi", "pcm_s16le")
    at = data.index(b"LIST", data.index(b"hdrl") + 8)  # between the headers of the film and of its first track
    longer = with_chunk(data, CHUNKS["many texts"], at)
    assert edits_of(longer).patches == {at: b"JUNK"}


def test_a_header_chunk_of_gigabytes_is_refused() -> None:
    data = encoded(VOICE, 16_000, "aiff", "pcm_s16be")
    at = data.index(b"COMM") + 4
    error = refused(data[:at] + struct.pack(">I", 1 << 29) + data[at + 4 :])
    assert error.code == "bad_header"
    assert "its COMM chunk claims 536,870,912 bytes; 4,194,304 are allowed" in str(error)
