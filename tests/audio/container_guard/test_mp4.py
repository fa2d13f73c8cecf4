"""Boxes of MP4 and QuickTime: oversized tags hidden and never heard, impossible tables refused."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from helpers.audio_files import Pipe, encoded, voice
from helpers.decoding import decode, refused
from helpers.headers import box, edits_of
from helpers.paths import TESTS
from overtone.audio.container_guard import limits
from overtone.audio.container_guard.header_view import HeaderError

HOSTILE = TESTS / "data" / "hostile"
M4A = encoded(voice(0.5), 16_000, "ipod", "aac")


def in_movie(data: bytes, made: bytes) -> bytes:
    """A box put at the end of the movie's, which is the last of the file."""
    at = data.rindex(b"moov") - 4
    return data[:at] + struct.pack(">I", len(data) - at + len(made)) + data[at + 4 :] + made


def changed(data: bytes, kind: bytes, offset: int, form: str, *values: int) -> bytes:
    """Numbers in a box set, from so many bytes behind its kind on."""
    at = data.index(kind) + 4 + offset
    made = struct.pack(form, *values)
    return data[:at] + made + data[at + len(made) :]


def tags(*items: bytes) -> bytes:
    handler = box(b"hdlr", bytes(8) + b"mdirappl" + bytes(9))
    return box(b"udta", box(b"meta", bytes(4) + handler + box(b"ilst", b"".join(items))))


def text(name: bytes, value: bytes) -> bytes:
    return box(name, box(b"data", bytes([0, 0, 0, 1, 0, 0, 0, 0]) + value))


def custom(name: bytes, value: bytes) -> bytes:
    mean = box(b"mean", bytes(4) + b"com.apple.iTunes")
    return box(b"----", mean + box(b"name", bytes(4) + name) + box(b"data", bytes([0, 0, 0, 1, 0, 0, 0, 0]) + value))


GAPLESS = custom(b"iTunSMPB", b" 00000000 00000400 00000000 0000000000001F40")
TAGS = {
    "a title": (tags(text(b"\xa9nam", b"title")), b""),
    "a cover": (tags(text(b"covr", bytes(300_000))), b""),
    "a large cover": (tags(text(b"covr", bytes(limits.TAG_BYTES)), text(b"\xa9nam", b"title")), b"covr"),
    "a large text": (tags(text(b"\xa9cmt", b"a" * limits.TAG_BYTES)), b"\xa9cmt"),
    "many texts": (tags(*(custom(b"key%d" % number, b"v") for number in range(1001))), b"udta"),
    "keys that are not there": (
        box(b"meta", box(b"hdlr", bytes(8) + b"mdta" + bytes(13)) + box(b"keys", struct.pack(">4xI", 1 << 28))), b"meta"
    ),
    "a large box of another kind": (box(b"abcd", bytes(limits.TAG_BYTES + 1)), b"abcd"),
    "a large box of somebody's": (box(b"uuid", bytes(limits.TAG_BYTES + 1)), b"uuid"),
}  # fmt: skip


@pytest.mark.parametrize("what", TAGS)
def test_an_oversized_tag_is_hidden(what: str) -> None:
    made, hidden = TAGS[what]
    data = in_movie(M4A, made)
    patches = edits_of(data).patches
    assert [data[at : at + 4] for at in patches] == ([hidden] if hidden else [])
    assert set(patches.values()) <= {b"free"}
    heard, decoder = decode(data)
    assert np.array_equal(heard, decode(M4A)[0])
    assert decoder.warnings == ()


def test_a_large_cover_takes_no_word_of_the_encoders_delay_with_it() -> None:
    """iTunes says in a tag how many samples its encoder put in front."""
    small, large = (text(b"covr", bytes(size)) for size in (1000, limits.TAG_BYTES + 1))
    bare = M4A.replace(b"edts", b"free")
    with_small, with_large = (decode(in_movie(bare, tags(cover, GAPLESS)))[0] for cover in (small, large))
    assert np.array_equal(with_large, with_small)


@pytest.mark.parametrize("name", ["stsz_5m.mp4", "stsz_50m.mp4"])
def test_more_samples_than_the_file_has_bytes(name: str) -> None:
    error = refused(HOSTILE / name)
    assert error.code == "bad_header"
    claimed, size = ("5,000,000", "546") if "5m" in name else ("50,000,000", "32,538")
    assert f"a track of it claims {claimed} samples, more than the {size} bytes of the file can be" in str(error)


def test_more_edits_than_anybody_makes() -> None:
    error = refused(HOSTILE / "elst_2000.mp4")
    assert error.code == "bad_header"
    assert "2,000 edits of 20,000 samples" in str(error)


def test_edits_that_are_not_there_are_no_claim() -> None:
    """FFmpeg takes no more of them than the box has room for."""
    data = changed(M4A, b"elst", 4, ">I", 0x0FFFFFFF)
    assert edits_of(data).patches == {}
    assert np.array_equal(decode(data)[0], decode(M4A)[0])


@pytest.mark.parametrize(("kind", "offset"), [(b"stsz", 8), (b"stts", 4), (b"stsc", 4), (b"stco", 4)])
def test_a_table_that_is_not_there(kind: bytes, offset: int) -> None:
    error = refused(changed(M4A, kind, offset, ">I", 0x0FFFFFFF))
    assert error.code == "bad_header"
    assert f"its {kind.decode()} table claims 268,435,455 entries" in str(error)


def test_a_description_of_gigabytes() -> None:
    data = M4A[: M4A.rindex(b"moov") - 4]
    stsd = struct.pack(">I4s", 1 << 30, b"stsd") + bytes(100)
    nested = stsd
    for kind in (b"stbl", b"minf", b"mdia", b"trak", b"moov"):
        nested = struct.pack(">I4s", 1 << 30, kind) + nested
    error = refused(data + nested)
    assert error.code == "bad_header"
    assert "its stsd box claims" in str(error)
    assert "4,194,304 are allowed" in str(error)


def test_fragments_of_samples_without_bytes() -> None:
    options = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}
    data = encoded(voice(0.5), 16_000, "mp4", "aac", options=options)
    assert edits_of(data).patches == {}
    error = refused(changed(data, b"trun", 0, ">II", 0, 0x01000000))
    assert error.code == "bad_header"
    assert "a track of it claims 16,777,216 samples" in str(error)


def pcm_movie(samples: int, chunk: int, *, size: int) -> bytes:
    """Tables of QuickTime for uncompressed audio: each sample has a duration of 1, and chunks have so many."""
    chunks = -(-samples // chunk)
    tables = (
        box(b"stts", struct.pack(">4xIII", 1, samples, 1)),
        box(b"stsc", struct.pack(">4xIIII", 1, 1, chunk, 1)),
        box(b"stsz", struct.pack(">4xII", 1, samples)),
        box(b"stco", struct.pack(">4xI", chunks) + bytes(4 * chunks)),
    )
    media = box(b"hdlr", bytes(8) + b"soun" + bytes(13)) + box(b"minf", box(b"stbl", b"".join(tables)))
    return box(b"moov", box(b"trak", box(b"mdia", media))) + struct.pack(">I4s", 8 + size, b"mdat") + bytes(size)


def test_hours_of_uncompressed_audio_are_no_claim() -> None:
    """FFmpeg makes an entry of 1024 samples of a chunk, not of each."""
    assert edits_of(pcm_movie(3_000_000, 4096, size=1000)).patches == {}
    with pytest.raises(HeaderError, match="claims 2,097,152 samples"):
        edits_of(pcm_movie(1 << 31, 1 << 30, size=1000))


def test_a_film_that_was_cut_short_is_read_as_far_as_it_goes() -> None:
    data = encoded(voice(2.0), 16_000, "mp4", "aac", options={"moov_size": "20000"})
    cut = data[: data.index(b"mdat") + 3000]
    heard, decoder = decode(cut)
    assert len(heard) > 1000
    assert "the header says 2.0 s" in " ".join(decoder.warnings)


def test_a_pipe_is_looked_at_as_far_as_its_first_bytes() -> None:
    error = refused(Pipe(changed(M4A, b"stsz", 4, ">II", 1, 0x02000000), most=65_536))
    assert error.code == "bad_header"
    assert "33,554,432 samples, more than the" in str(error)


def test_boxes_within_boxes_end() -> None:
    nested = b""
    for _ in range(5000):
        nested = box(b"trak", nested)
    assert edits_of(box(b"moov", nested)).patches == {}
