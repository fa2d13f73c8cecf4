"""What is on the disk before a row says so, and disks that are full or broken."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from typing import Any

import pytest

from helpers.server.jobs import full, job_folders, names, no_pages_left, states
from overtone.errors import RefusedError, UsageError
from overtone.server.jobs import durable_files


def test_what_is_on_the_disk_before_a_row_says_so(store, folder, upload, monkeypatch):
    """What a loss of power leaves cannot be seen from here; that nothing is left out of what prevents it, can."""
    synced = set()
    real = os.fsync

    def noted(handle: int) -> None:
        real(handle)
        synced.add(os.fstat(handle).st_ino)

    def nothing_missing(change: Any) -> Any:
        def checked(*arguments: Any) -> Any:
            (job,) = job_folders(folder)
            needed = [folder / job, *(path for path in (folder / job).iterdir() if path.suffix != ".answers")]
            if change.__name__ == "insert":
                needed.append(folder)
            assert {path.stat().st_ino for path in needed} <= synced
            synced.clear()
            return change(*arguments)

        return checked

    monkeypatch.setattr(durable_files.os, "fsync", noted)
    for rows, name in ((store.repository, "insert"), (store.leases, "finish")):
        monkeypatch.setattr(rows, name, nothing_missing(getattr(rows, name)))
    job = store.add(None, {}, [upload()], 60)
    assert not synced
    claim = store.claim_next()
    claim.path.unlink()  # only what is new counts
    assert store.done(job.id, 0, "{}", [upload().path])
    assert store._db.query("PRAGMA synchronous")[0][0] == 2
    assert store._db.query("PRAGMA journal_mode")[0][0] == "wal"


def test_uploads_on_another_file_system(store, upload, monkeypatch):
    real = os.replace

    def across(source: Any, target: Any) -> None:
        if "uploads" in str(source):
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        real(source, target)

    monkeypatch.setattr(os, "replace", across)
    file = upload(b"from afar" * 1000)
    store.add(None, {}, [file], 60)
    assert not file.path.exists()
    path = store.claim_next().path
    assert path.read_bytes() == b"from afar" * 1000
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_an_upload_that_is_gone(store, folder, upload):
    file = upload()
    file.path.unlink()
    with pytest.raises(UsageError, match="No such file"):
        store.add(None, {}, [upload(), file], 60)
    assert job_folders(folder) == set()


@pytest.mark.parametrize("where", ["files", "rows"])
def test_no_room_for_a_job(store, folder, upload, monkeypatch, where):
    if where == "files":
        monkeypatch.setattr(durable_files.os, "fsync", full)
    else:
        no_pages_left(store)
    with pytest.raises(RefusedError, match="disk of this service is full") as refusal:
        # Rows as large as a page each, as small ones find room in pages that are there.
        store.add(None, {"text": "x" * 100_000}, [upload(), upload()], 60)
    assert refusal.value.code == "no_space"
    assert job_folders(folder) == set()
    monkeypatch.undo()
    store._db.query("PRAGMA max_page_count = 1000000")
    assert store.repository.queue_load().files == 0
    assert store.add(None, {}, [upload()], 60).state == "queued"


@pytest.mark.parametrize("where", ["files", "rows"])
def test_no_room_for_a_record(store, folder, upload, monkeypatch, where):
    job = store.add(None, {}, [upload()], 60)
    store.claim_next()
    if where == "files":
        monkeypatch.setattr(durable_files.os, "fsync", full)
    else:
        monkeypatch.setattr(store.leases, "finish", lambda *_: (_ for _ in ()).throw(durable_files.disk_full_error()))
    with pytest.raises(RefusedError) as refusal:
        store.done(job.id, 0, "{}", [upload().path])
    assert refusal.value.code == "no_space"
    assert states(store, job.id) == ["running"]
    assert names(folder / job.id) == ["0000.upload"]
    monkeypatch.undo()
    assert store.done(job.id, 0, "{}")
    assert store.repository.job(job.id).state == "done"


def test_a_record_that_fails_on_the_way(store, folder, upload):
    job = store.add(None, {}, [upload()], 60)
    store.claim_next()

    def record() -> Iterator[str]:
        yield "{"
        raise ArithmeticError("no more")

    with pytest.raises(ArithmeticError):
        store.done(job.id, 0, record())
    assert names(folder / job.id) == ["0000.upload"]
    assert states(store, job.id) == ["running"]


def test_a_disk_that_cannot_be_written(store, upload, monkeypatch):
    def broken(*_: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(durable_files.os, "fsync", broken)
    with pytest.raises(UsageError, match="Input/output error") as error:
        store.add(None, {}, [upload()], 60)
    assert error.value.code == "unwritable"


def test_a_file_system_that_cannot_sync_folders(store, upload, monkeypatch):
    real = os.fsync

    def picky(handle: int) -> None:
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        real(handle)

    monkeypatch.setattr(durable_files.os, "fsync", picky)
    assert store.add(None, {}, [upload()], 60).state == "queued"
