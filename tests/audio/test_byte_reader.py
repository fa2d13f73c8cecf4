"""Bytes from streams that break or were peeked into."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.audio_files import Pipe, voice, wav16
from helpers.decoding import decode, refused
from overtone.audio import Decoder
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
