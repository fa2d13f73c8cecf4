"""Uploads on a disk that is full or broken, and a loop that stays free."""

from __future__ import annotations

import asyncio
import errno
import os
import threading
from pathlib import Path

import pytest

from helpers.server.loops import settle
from helpers.server.uploading import FORM, Exchange, a_file, assert_nothing_stays, contents, form, refused, sent
from overtone.errors import RefusedError
from overtone.server.uploads import Received, Spool
from overtone.server.uploads import spooled_file as growing
from overtone.system.memory import MIB


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_while_writing(spool: Spool, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def write_some(descriptor: int, data: bytes) -> None:
        os.write(descriptor, data[: len(data) // 2])
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(growing, "write_all", write_some)
    error = refused(spool, "no_space", form(a_file(b"one"), a_file(b"two")), says=os.strerror(number))
    assert isinstance(error, RefusedError)
    assert error.retry_after_s
    assert str(spool.path) not in str(error)
    refused(spool, "no_space", b"x" * 2 * MIB, content_type="audio/wav", then="vanish")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full here")
def test_a_disk_that_is_really_full(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Spool, "open", lambda self, path: os.open("/dev/full", os.O_WRONLY))
    refused(spool, "no_space", form(a_file(b"one")))


def test_a_full_disk_while_making_the_file(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Spool, path: Path) -> int:
        raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr(Spool, "open", full)
    refused(spool, "no_space", form(a_file(b"one")))


def test_another_fault_of_the_disk_is_not_the_clients(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(descriptor: int, data: bytes) -> None:
        raise OSError(errno.EIO, "broken")

    monkeypatch.setattr(growing, "write_all", broken)
    with pytest.raises(OSError, match="broken"):
        sent(spool, form(a_file(b"one")))
    assert_nothing_stays(spool)


def test_writing_leaves_the_loop_free(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, go = threading.Event(), threading.Event()

    def held(descriptor: int, data: bytes) -> None:
        begun.set()
        assert go.wait(10), "the loop never came to say so"
        os.write(descriptor, data)

    async def both() -> Received:
        asking = asyncio.create_task(Exchange(spool, [form(a_file(b"x"))], content_type=FORM).run())
        assert await asyncio.to_thread(begun.wait, 10)
        go.set()
        return await asking

    monkeypatch.setattr(growing, "write_all", held)
    assert contents(asyncio.run(both())) == [("a.wav", b"x")]


def test_a_request_that_is_cancelled_while_it_is_written_leaves_nothing(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go = threading.Event(), threading.Event()
    write_all = growing.write_all

    def held(descriptor: int, data: bytes) -> None:
        begun.set()
        assert go.wait(10)
        write_all(descriptor, data)

    async def cancelled() -> None:
        asking = asyncio.create_task(Exchange(spool, [form(a_file(b"x"), a_file(b"y"))], content_type=FORM).run())
        assert await asyncio.to_thread(begun.wait, 10)
        asking.cancel()
        await settle()
        go.set()
        with pytest.raises(asyncio.CancelledError):
            await asking

    monkeypatch.setattr(growing, "write_all", held)
    asyncio.run(cancelled())
    assert_nothing_stays(spool)


@pytest.mark.parametrize(
    ("number", "code", "remedy"),
    [(errno.EFBIG, "no_space", "ulimit -f"), (errno.EROFS, "not_ready", "mounted for writing")],
)
def test_the_log_names_the_folder_that_takes_no_uploads_and_the_remedy(
    spool: Spool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, number: int, code: str, remedy: str
) -> None:
    def refuse(descriptor: int, data: bytes) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(growing, "write_all", refuse)
    error = refused(spool, code, form(a_file(b"one")), says=os.strerror(number))
    assert str(spool.path) not in str(error)
    assert str(spool.path) in caplog.text
    assert remedy in caplog.text
