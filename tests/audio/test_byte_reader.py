"""Bytes from streams that break or were peeked into."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.audio_files import Pipe, voice, wav16
from helpers.decoding import decode, refused
from overtone.audio import Decoder
from overtone.audio.byte_edits import Edits
from overtone.audio.byte_reader import ByteReader


class Breaking(Pipe):
    """A pipe that breaks after `good` bytes."""

    def __init__(self, data: bytes, good: int, error: BaseException) -> None:
        super().__init__(data[:good])
        self._error = error

    def read(self, size: int = -1) -> bytes:
        data = super().read(size)
        if not data:
            raise self._error
        return data


def test_a_stream_that_breaks(capfd: pytest.CaptureFixture[str]) -> None:
    data = wav16(voice(3))
    error = refused(Breaking(data, 0, OSError(5, "Input/output error")))
    assert error.code == "unreadable"
    heard, decoder = decode(Breaking(data, 70_000, OSError(5, "Input/output error")))
    assert len(heard) > 30_000
    assert "(Input/output error)" in decoder.warnings[0]
    long = wav16(voice(30))
    with Decoder(Breaking(long, 700_000, KeyboardInterrupt())) as broken, pytest.raises(KeyboardInterrupt):
        list(broken.blocks())
    with pytest.raises(KeyboardInterrupt):
        Decoder(Breaking(data, 0, KeyboardInterrupt()))
    assert capfd.readouterr().err == ""


@given(st.lists(st.tuples(st.sampled_from(["read", "set", "cur", "end", "tell"]), st.integers(0, 40)), max_size=12))
def test_a_feed_that_was_peeked_into_reads_like_one_that_was_not(steps: list[tuple[str, int]]) -> None:
    data = bytes(range(100))
    plain, peeked = ByteReader(io.BytesIO(data)), ByteReader(io.BytesIO(data))
    assert peeked.peek(64) == data[:64]

    def step(feed: ByteReader, kind: str, size: int) -> object:
        if kind == "read":
            return b"".join(feed.read(1) for _ in range(size))  # how much comes at once may differ
        if kind == "tell":
            return feed.tell()
        return feed.seek(size - 20 * (kind != "set"), {"set": 0, "cur": 1, "end": 2}[kind])

    for kind, size in steps:
        assert step(peeked, kind, size) == step(plain, kind, size)
    assert (plain.error, peeked.error) == (None, None)


@given(
    st.integers(0, 120),
    st.dictionaries(st.integers(0, 90), st.binary(min_size=1, max_size=8), max_size=3),
    st.lists(st.tuples(st.integers(0, 130), st.integers(0, 20)), max_size=4),
    st.lists(st.tuples(st.sampled_from(["read", "set", "cur", "end"]), st.integers(0, 40)), max_size=8),
    st.booleans(),
)
def test_a_feed_that_is_edited_reads_like_a_file_that_was(
    skip: int,
    patches: dict[int, bytes],
    looks: list[tuple[int, int]],
    steps: list[tuple[str, int]],
    seekable: bool,
) -> None:
    data = bytes(range(100))
    edits = Edits(skip, patches)
    file, meant = io.BytesIO(b"before" + data), io.BytesIO(edits.applied(data[skip:], 0))
    file.seek(6)
    feed = ByteReader(file if seekable else Pipe(data, most=30))
    for offset, size in looks:
        found = feed.look(offset, size)
        assert found == (data if seekable else data[:30])[offset : offset + size]
    assert feed.size() == (100 if seekable else None)
    feed.edit(edits)
    for kind, size in steps:
        if kind == "read":
            assert b"".join(feed.read(1) for _ in range(size)) == meant.read(size)
        elif seekable and skip <= 100:
            offset, whence = size - 20 * (kind != "set"), {"set": 0, "cur": 1, "end": 2}[kind]
            if (meant.tell() if kind == "cur" else len(meant.getvalue()) if kind == "end" else 0) + offset >= 0:
                assert feed.seek(offset, whence) == meant.seek(offset, whence)
    assert feed.error is None


def test_a_look_ahead_that_fails_is_no_error_of_the_file() -> None:
    class Torn(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            if self.tell() >= 80_000:
                raise OSError(5, "Input/output error")
            return super().read(size)

    feed = ByteReader(Torn(bytes(200_000)))
    assert feed.look(90_000, 10) == b""
    feed.edit(Edits())
    assert feed.error is None
    assert len(feed.read(1000)) == 1000
