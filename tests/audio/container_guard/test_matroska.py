"""Tags and attachments of Matroska: hidden where they are oversized, and never heard."""

from __future__ import annotations

import numpy as np
import pytest

from helpers.audio_files import Pipe, encoded, voice
from helpers.decoding import decode, refused
from helpers.headers import Counted, edits_of, element, with_matroska_part
from overtone.audio.container_guard import limits
from overtone.audio.container_guard.header_view import HeaderView
from overtone.audio.container_guard.matroska import _element, _void

MKA = encoded(voice(0.5, 48_000), 48_000, "matroska", "flac")


def simple_tags(count: int) -> bytes:
    texts = (element(0x67C8, element(0x45A3, b"K%d" % number) + element(0x4487, b"v")) for number in range(count))
    return element(0x1254C367, element(0x7373, element(0x63C0, b"") + b"".join(texts)))


def attachment(size: int) -> bytes:
    file = (
        element(0x466E, b"cover.jpg")
        + element(0x4660, b"image/jpeg")
        + element(0x46AE, b"\1")
        + element(0x465C, bytes(size))
    )
    return element(0x1941A469, element(0x61A7, file))


PARTS = {
    "some tags": (simple_tags(50), False),
    "many tags": (simple_tags(limits.SIMPLE_TAGS + 1), True),
    "a cover": (attachment(200_000), False),
    "a large cover": (attachment(limits.TAG_BYTES), True),
}


@pytest.mark.parametrize("what", PARTS)
def test_an_oversized_part_is_hidden(what: str) -> None:
    part, hidden = PARTS[what]
    data = with_matroska_part(MKA, part)
    assert bool(edits_of(data).patches) == hidden
    heard, decoder = decode(data)
    assert np.array_equal(heard, decode(MKA)[0])
    assert decoder.warnings == ()


def test_tags_in_the_first_bytes_of_a_pipe_are_hidden() -> None:
    data = with_matroska_part(MKA, simple_tags(400))
    assert np.array_equal(decode(Pipe(data, most=65_536))[0], decode(MKA)[0])  # type: ignore[arg-type]
    assert edits_of(data, size_known=False) == edits_of(data)


def test_tags_behind_the_audio_are_found_by_the_seek_head() -> None:
    tags = simple_tags(limits.SIMPLE_TAGS + 1)
    seek = element(0x114D9B74, element(0x4DBB, element(0x53AB, b"\x12\x54\xc3\x67") + element(0x53AC, bytes(8))))
    data = with_matroska_part(MKA, seek) + tags
    segment = data.index(b"\x18\x53\x80\x67") + 12
    at = data.index(b"\x53\xac") + 10
    data = data[:at] + (len(data) - len(tags) - segment).to_bytes(8, "big") + data[at + 8 :]
    assert list(edits_of(data).patches) == [len(data) - len(tags)]
    assert np.array_equal(decode(data)[0], decode(MKA)[0])


@pytest.mark.parametrize("size_bytes", range(1, 9))
def test_what_hides_a_part_is_as_long_as_it(size_bytes: int) -> None:
    size = min(1 << 7 * size_bytes, 1 << 40) - 2
    head = 4 + size_bytes
    void = _void(head, size)
    found = _element(HeaderView(Counted(void + bytes(12)), None), 0)
    assert found is not None
    assert (found.id, found.size) == (0xEC, head + size - len(void))
    assert len(void) <= head


def test_settings_of_gigabytes_are_refused() -> None:
    private = b"\x63\xa2" + (200 << 20 | 1 << 56).to_bytes(8, "big")
    error = refused(with_matroska_part(MKA, element(0x1654AE6B, element(0xAE, private))))
    assert error.code == "bad_header"
    assert "its track claims 209,715,200 bytes of settings for the decoder; 4,194,304 are allowed" in str(error)
