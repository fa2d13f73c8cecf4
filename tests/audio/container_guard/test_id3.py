"""ID3 tags at the front of files: shown, skipped or refused, and never heard."""

from __future__ import annotations

import numpy as np
import pytest

from helpers.audio_files import Pipe, encoded, voice
from helpers.decoding import decode, refused
from helpers.headers import edits_of, id3, id3_picture, id3_texts
from overtone.audio.container_guard import limits

MP3 = encoded(voice(0.5), 16_000, "mp3", "mp3", options={"id3v2_version": "0"})
TAGS = {
    "a few texts": (id3(id3_texts(10)), False),
    "a cover": (id3(id3_picture(200_000)), False),
    "as many texts as may be": (id3(id3_texts(limits.TAG_COUNT)), False),
    "more texts than may be": (id3(id3_texts(limits.TAG_COUNT + 1)), True),
    "a cover larger than may be": (id3(id3_picture(limits.TAG_BYTES)), True),
    "two tags": (id3(id3_texts(600)) * 2, True),
    "more tags than may be": (id3(b"") * (limits.TAG_COUNT + 1), True),
    "padding": (id3(id3_texts(10) + bytes(100_000)), False),
}


@pytest.mark.parametrize("what", TAGS)
def test_a_tag_is_skipped_where_it_is_too_large(what: str) -> None:
    tag, skipped = TAGS[what]
    assert edits_of(tag + MP3).skip == (len(tag) if skipped else 0)


@pytest.mark.parametrize("what", TAGS)
def test_a_tag_changes_no_sample(what: str) -> None:
    for kind in (bytes, Pipe):  # FFmpeg takes the encoder's padding off the end only where it can seek
        plain, _ = decode(kind(MP3))  # type: ignore[arg-type]
        heard, decoder = decode(kind(TAGS[what][0] + MP3))  # type: ignore[arg-type]
        assert np.array_equal(heard, plain)
        assert decoder.codec.startswith("mp3")
        assert decoder.warnings == ()


@pytest.mark.parametrize(
    ("container", "codec"), [("flac", "flac"), ("adts", "aac"), ("tta", "tta"), ("aiff", "pcm_s16be")]
)
def test_a_tag_before_other_files_is_skipped_too(container: str, codec: str) -> None:
    data = encoded(voice(0.5), 16_000, container, codec)
    plain, _ = decode(data)
    heard, _ = decode(id3(id3_texts(3000)) + data)
    assert np.array_equal(heard, plain)


def test_what_follows_a_tag_is_looked_at() -> None:
    wav = encoded(voice(0.3), 16_000, "wav", "pcm_s16le")
    list_chunk = b"LIST" + (limits.TAG_BYTES + 4).to_bytes(4, "little") + b"INFO" + bytes(limits.TAG_BYTES)
    for texts in (10, 3000):
        tag = id3(id3_texts(texts))
        edits = edits_of(tag + wav[:12] + list_chunk + wav[12:])
        assert list(edits.patches) == [12 + (len(tag) if texts == 10 else 0)]


def test_a_tag_that_claims_more_than_the_file_has() -> None:
    data = id3(id3_texts(2000), claimed=200 << 20) + MP3
    for source in (data, Pipe(data)):
        error = refused(source)
        assert error.code == "bad_header"
        assert "its ID3 tag claims 209,715,210 bytes" in str(error)
