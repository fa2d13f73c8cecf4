"""Uploads as a server hands them in: whole files, or a refusal that leaves nothing."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers.server.uploading import (
    FORM,
    Exchange,
    a_file,
    assert_nothing_stays,
    contents,
    form,
    let_go,
    limits,
    refused,
    sent,
)
from overtone.errors import InputError, RefusedError
from overtone.server.uploads import Received, Spool
from overtone.system.memory import KIB, MIB


@pytest.mark.parametrize("kind", ["application/octet-stream", "audio/wav", "Video/MP4; codecs=x"])
def test_a_body_that_is_the_file(spool: Spool, kind: str) -> None:
    received = sent(spool, b"ab", b"", b"c", content_type=kind, query="name=call%20%C3%A4.wav")
    assert contents(received) == [("call ä.wav", b"abc")]
    assert received.fields == {}
    assert received.files[0].digest == hashlib.sha256(b"abc").hexdigest()
    assert sent(spool, b"abc", content_type=kind).files[0].name == "upload"


def test_large_files_are_written_while_they_come(spool: Spool) -> None:
    piece, held = os.urandom(64 * KIB), []

    def pieces() -> Iterator[bytes]:
        for _ in range(50):
            held.append(spool.held_bytes)
            yield piece

    received = asyncio.run(Exchange(spool, pieces(), content_type="audio/wav").run())
    assert received.files[0].digest == hashlib.sha256(piece * 50).hexdigest()
    assert [b - a for a, b in itertools.pairwise(held) if b != a] == [MIB] * 3  # so much at a time
    assert received.files[0].size_bytes == 50 * len(piece)


def test_only_the_owner_can_read_them(spool: Spool) -> None:
    before = os.umask(0)
    try:
        upload = sent(spool, form(a_file(b"secret"))).files[0]
    finally:
        os.umask(before)
    assert upload.path.stat().st_mode & 0o777 == 0o600
    assert upload.path.parent.stat().st_mode & 0o777 == 0o700


def test_removing_twice_gives_the_bytes_back_once(spool: Spool) -> None:
    kept, gone = sent(spool, form(a_file(b"12345"), a_file(b"67"))).files
    gone.remove()
    gone.remove()
    assert spool.held_bytes == 5
    assert kept.path.exists()
    assert not gone.path.exists()


@pytest.mark.parametrize("length", ["-1", "+5", "1_0", "²", "9" * 5000, "0x10", " "])
def test_a_length_that_is_none(spool: Spool, length: str) -> None:
    refused(spool, "bad_request", b"x", says="Content-Length", content_type="audio/wav", content_length=length)


@pytest.mark.parametrize(
    "kind", ["", "application/json", "application/x-www-form-urlencoded", "text/plain", "audio", ";"]
)
def test_other_types_are_refused_with_those_that_are_taken(spool: Spool, kind: str) -> None:
    refused(spool, "unsupported_type", b"x", says=r"multipart/form-data, .* audio/\* or video/\*", content_type=kind)


def test_a_compressed_body_is_refused(spool: Spool) -> None:
    for encoding in ("gzip", "identity, br"):
        refused(spool, "unsupported_type", b"x", says="Encoding", content_type="audio/wav", content_encoding=encoding)
    assert sent(spool, b"x", content_type="audio/wav", content_encoding="Identity")


def test_an_empty_file_is_named(spool: Spool) -> None:
    error = refused(spool, "empty", form(a_file(b"x"), a_file(b"", "none.wav")), says=r"none\.wav: the file is empty")
    assert isinstance(error, InputError)
    refused(spool, "empty", content_type="audio/wav")


@pytest.mark.parametrize("kind", [FORM, "audio/wav"])
def test_a_client_that_vanishes(spool: Spool, kind: str) -> None:
    body = form(a_file(b"x" * 2 * MIB), a_file(b"y"), closing=False)
    refused(spool, "gone", body, content_type=kind, then="vanish")
    refused(spool, "gone", content_type=kind, then="vanish")


def test_a_silent_client_is_not_waited_for_any_longer(tmp_path: Path) -> None:
    with Spool(tmp_path, limits(idle_s=0.05)) as spool:
        refused(
            spool,
            "upload_timeout",
            b"x" * 2 * MIB,
            says="nothing came for 0.05 s",
            content_type="audio/wav",
            then="silence",
        )
        refused(spool, "upload_timeout", form(a_file(b"x"), closing=False), then="silence")


def test_requests_at_once_do_not_touch_each_other(spool: Spool) -> None:
    async def all_of_them() -> list[Received | BaseException]:
        exchanges = [
            Exchange(
                spool,
                [b"%d" % i * 1000] * 50,
                then="vanish" if i % 3 == 0 else "end",
                content_type="audio/wav",
                query=f"name={i}.wav",
            )
            for i in range(12)
        ]
        return await asyncio.gather(*(exchange.run() for exchange in exchanges), return_exceptions=True)

    for i, outcome in enumerate(asyncio.run(all_of_them())):
        if i % 3 == 0:
            assert isinstance(outcome, RefusedError)
            assert outcome.code == "gone"
        else:
            assert isinstance(outcome, Received)
            assert contents(outcome) == [(f"{i}.wav", b"%d" % i * 50_000)]
            let_go(outcome)
    assert_nothing_stays(spool)
