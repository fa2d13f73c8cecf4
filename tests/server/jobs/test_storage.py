"""The folder of jobs: private, swept of what kills leave, and refused where it is not the store's."""

from __future__ import annotations

import os
import shutil
import stat
from typing import Any

import pytest

from helpers.server.jobs import job_folders, names
from overtone.errors import UsageError
from overtone.server.jobs.store import JobStore


@pytest.mark.parametrize(
    "id", ["", ".", "..", "../jobs", "/etc", "a" * 31, "A" * 32, "0" * 32, "0" * 32 + "\n", "x" * 999]
)
def test_ids_that_are_none(store, folder, id):
    (folder.parent / "precious").mkdir()
    kept = names(folder.parent)
    assert store.repository.job(id) is None
    assert store.repository.files(id) == []
    assert list(store.results(id)) == []
    assert store.record(id, 0) is store.embedding(id, 0) is None
    assert store.cancel(id) is store.done(id, 0, "{}") is store.failed(id, 0, "{}") is False
    store.leases.release(id, 0)
    assert names(folder.parent) == kept


def test_ids_cannot_be_guessed(store, upload):
    ids = {store.add(None, {}, [upload()], 60).id for _ in range(20)}
    assert len(ids) == 20
    assert {len(id) for id in ids} == {32}
    assert len({id[position] for id in ids for position in range(32)}) == 16


def test_sweep(store, folder, upload):
    job = store.add(None, {}, [upload() for _ in range(3)], 60)
    cancelled = store.add(None, {}, [upload()], 60)
    store.cancel(cancelled.id)
    store.claim_next().answers.touch()
    store.done(job.id, 0, "{}")
    store.claim_next().answers.touch()
    # What a kill leaves: a folder before its row, one after its row, audio after its record.
    orphan = folder / ("0" * 32)
    for left in (orphan, folder / cancelled.id):
        left.mkdir()
        (left / "0000.upload").touch()
    for left in ("0000.upload", "0000.answers"):
        (folder / job.id / left).touch()
    # What is not the store's.
    (folder / "lost+found").mkdir()
    (folder / "notes.txt").touch()
    elsewhere = folder.parent / "elsewhere"
    elsewhere.mkdir()
    (folder / ("1" * 32)).symlink_to(elsewhere)
    assert store.sweep() == 2
    assert job_folders(folder) == {job.id, "lost+found", "1" * 32}
    assert names(folder / job.id) == ["0000.json", "0001.answers", "0001.upload", "0002.upload"]
    assert (folder / "notes.txt").exists()
    assert elsewhere.is_dir()
    assert store.sweep() == 0


def test_sweep_leaves_alone_what_is_being_added(store, folder, upload, monkeypatch):
    swept = []
    insert = store.repository.insert

    def meanwhile(*arguments: Any) -> None:
        swept.append(store.sweep())
        insert(*arguments)
        swept.append(store.sweep())

    monkeypatch.setattr(store.repository, "insert", meanwhile)
    job = store.add(None, {}, [upload(b"whole")], 60)
    assert swept == [0, 0]
    assert store.claim_next().path.read_bytes() == b"whole"
    assert store.repository.job(job.id).state == "running"


def test_nobody_else_can_read(folder, upload):
    before = os.umask(0)
    try:
        with JobStore(folder) as store:
            job = store.add(None, {}, [upload(), upload()], 60)
            store.claim_next()
            store.done(job.id, 0, "{}", [upload().path])
            modes = {path: stat.S_IMODE(path.stat().st_mode) for path in (folder, *folder.rglob("*"))}
    finally:
        os.umask(before)
    assert {path.name for path in modes} >= {"jobs.sqlite", "jobs.sqlite-wal", "0000.json", "0000.0.npz", "0001.upload"}
    assert {path.name: mode for path, mode in modes.items() if mode != (0o700 if path.is_dir() else 0o600)} == {}


def test_a_folder_that_is_there(folder):
    folder.mkdir()
    folder.chmod(0o755)
    JobStore(folder).close()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    folder.chmod(0o755)
    (folder / "jobs.sqlite").chmod(0o644)
    (folder / "other").touch()
    JobStore(folder).close()  # its own by now
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "jobs.sqlite").stat().st_mode) == 0o600


def test_a_folder_of_others_is_left_as_it_is(folder):
    folder.mkdir()
    (folder / "letters").touch()
    folder.chmod(0o755)
    with pytest.raises(UsageError, match="chmod 700"):
        JobStore(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o755
    assert names(folder) == ["letters"]
    folder.chmod(0o700)
    JobStore(folder).close()


def test_a_folder_that_cannot_be(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="file/jobs"):
        JobStore(tmp_path / "file" / "jobs")


def test_a_folder_that_was_deleted_under_the_store(store, folder, upload):
    job = store.add(None, {}, [upload()], 60)
    store.claim_next()
    shutil.rmtree(folder / job.id)
    with pytest.raises(UsageError, match="No such file"):
        store.done(job.id, 0, "{}")
    assert store.sweep() == 0
    assert store.cancel(job.id)
