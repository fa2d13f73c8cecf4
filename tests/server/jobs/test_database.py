"""The database of jobs: one process at a time, and what is broken or newer is refused."""

from __future__ import annotations

import sqlite3
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from helpers.command import environment
from overtone.errors import UsageError
from overtone.server.jobs.store import JobStore


def test_two_stores_on_one_folder(folder):
    with JobStore(folder), pytest.raises(UsageError, match=f"{folder}: another process keeps its jobs there"):
        JobStore(folder)
    JobStore(folder).close()


OPENED = "import sys, pathlib, overtone.server.jobs.store as s; s.JobStore(pathlib.Path(sys.argv[1]))"


def test_a_second_process_on_one_folder(store, folder):
    command = [sys.executable, "-c", OPENED, str(folder)]
    done = subprocess.run(command, env=environment(), capture_output=True, encoding="utf-8", timeout=60, check=False)
    assert done.returncode != 0
    assert "another process keeps its jobs there" in done.stderr


def test_closed_by_another_thread(folder):
    store = JobStore(folder)
    closer = threading.Thread(target=store.close)
    closer.start()
    closer.join()
    JobStore(folder).close()
    store.close()


def test_a_newer_schema_is_refused(folder):
    JobStore(folder).close()
    with sqlite3.connect(folder / "jobs.sqlite") as connection:
        connection.execute("PRAGMA user_version = 3")
    connection.close()
    before = (folder / "jobs.sqlite").read_bytes()
    for _ in range(2):  # the folder is let go of each time
        with pytest.raises(UsageError, match="newer Overtone"):
            JobStore(folder)
    assert (folder / "jobs.sqlite").read_bytes() == before


def test_another_database_is_refused(folder):
    folder.mkdir(mode=0o700)
    with sqlite3.connect(folder / "jobs.sqlite") as connection:
        connection.execute("CREATE TABLE recipes (name)")
    connection.close()
    with pytest.raises(UsageError, match="no database of jobs"):
        JobStore(folder)


def break_header(path: Path) -> None:
    path.write_bytes(b"no database" + path.read_bytes()[11:])


def break_pages(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:4096] + b"\x55" * (len(content) - 4096))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:5000])


@pytest.mark.parametrize("damage", [break_header, break_pages, cut])
def test_a_broken_database(folder, upload, damage):
    with JobStore(folder) as store:
        for _ in range(40):
            store.add(None, {"text": "x" * 500}, [upload()], 60)
    damage(folder / "jobs.sqlite")
    for _ in range(2):
        with pytest.raises(UsageError, match=r"jobs\.sqlite is broken .*move it away") as error:
            JobStore(folder)
        assert error.value.code == "broken_store"
    (folder / "jobs.sqlite").rename(folder.parent / "broken")
    with JobStore(folder) as store:
        assert store.sweep() == 0
        assert store.repository.queue_load().files == 0
    (aside,) = folder.glob("set-aside-*")
    assert len(list(aside.rglob("*.upload"))) == 40


def test_killed_before_the_first_table(folder):
    folder.mkdir(mode=0o700)
    (folder / "jobs.sqlite").touch()
    with JobStore(folder) as store:
        assert store.claim_next() is None


def test_a_change_that_fails_on_the_way(store, upload):
    job = store.add(None, {}, [upload()], 60)
    with pytest.raises(ArithmeticError), store._db.execute() as db:
        db.execute("DELETE FROM jobs")
        raise ArithmeticError("no more")
    assert store.repository.job(job.id) == job
    assert store.cancel(job.id)


@pytest.mark.parametrize("loss", ["missing", "empty", "without tables"])
def test_folders_without_their_database_are_set_aside(folder, upload, caplog, loss):
    with JobStore(folder) as store:
        waiting = store.add(None, {}, [upload(b"precious")], 60).id
        finished = store.add(None, {}, [upload()], 60).id
        store.claim_next()
        store.claim_next()
        store.done(finished, 0, '"said"')
    for path in folder.glob("jobs.sqlite*"):
        path.unlink()
    if loss == "empty":
        (folder / "jobs.sqlite").touch()
    elif loss == "without tables":
        connection = sqlite3.connect(folder / "jobs.sqlite")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.close()
    with JobStore(folder) as store:
        (aside,) = folder.glob("set-aside-*")
        assert str(aside) in caplog.text
        assert store.sweep() == 0
        assert store.repository.job(waiting) is None
        again = store.add(None, {}, [upload()], 60).id
    with JobStore(folder) as store:  # once there is a database, nothing is
        assert store.sweep() == 0
        assert store.repository.job(again) is not None
    assert (aside / waiting / "0000.upload").read_bytes() == b"precious"
    assert (aside / finished / "0000.json").read_text() == '"said"\n'
    assert stat.S_IMODE(aside.stat().st_mode) == 0o700


def test_setting_aside_goes_on_where_it_was_killed(folder, upload, monkeypatch):
    with JobStore(folder) as store:
        ids = {store.add(None, {}, [upload()], 60).id for _ in range(3)}
    (folder / "jobs.sqlite").unlink()
    rename, done = Path.rename, []

    def killed(self: Path, target: Path) -> Path:
        if done:
            raise KeyboardInterrupt
        done.append(target)
        return rename(self, target)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(Path, "rename", killed)
        JobStore(folder)
    with JobStore(folder) as store:
        assert store.sweep() == 0
    assert {path.parent.name for path in folder.glob("set-aside-*/*/0000.upload")} == ids


VERSION_1 = """
CREATE TABLE jobs (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, owner TEXT, options TEXT NOT NULL,
    state TEXT NOT NULL, made_s REAL NOT NULL, changed_s REAL NOT NULL, keep_s REAL NOT NULL, expires_s REAL
);
CREATE INDEX jobs_by_state ON jobs (state);
CREATE INDEX jobs_by_expiry ON jobs (expires_s);
CREATE TABLE files (
    job INTEGER NOT NULL REFERENCES jobs (seq) ON DELETE CASCADE, number INTEGER NOT NULL, name TEXT NOT NULL,
    digest TEXT NOT NULL, size_bytes INTEGER NOT NULL, claimed_s REAL, state TEXT NOT NULL,
    attempts INTEGER NOT NULL, embeddings INTEGER NOT NULL, held_bytes INTEGER NOT NULL, PRIMARY KEY (job, number)
) WITHOUT ROWID;
CREATE INDEX files_by_state ON files (state, job, number);
INSERT INTO jobs VALUES (1, '{done}', NULL, '{{}}', 'done', 1.0, 2.0, 60.0, 62.0);
INSERT INTO jobs VALUES (2, '{waits}', 'anna', '{{}}', 'queued', 1.0, 2.0, 60.0, NULL);
INSERT INTO files VALUES (1, 0, 'a.wav', 'abc', 5, 2.0, 'done', 1, 0, 9);
INSERT INTO files VALUES (2, 0, 'b.wav', 'abc', 5, 2.0, 'queued', 3, 0, 5);
PRAGMA user_version = 1;
"""


def test_a_database_of_version_1_goes_on(folder, upload, machine):
    """Nothing of it has expired, whatever the date is, and no file of it is nearly given up."""
    folder.mkdir(mode=0o700)
    done, waits = "1" * 32, "2" * 32
    for id in (done, waits):
        (folder / id).mkdir()
        (folder / id / "0000.upload").write_bytes(b"audio")
    connection = sqlite3.connect(folder / "jobs.sqlite")
    connection.executescript(VERSION_1.format(done=done, waits=waits))
    connection.close()
    with JobStore(folder, machine.clocks) as store:
        assert store.sweep() == 0
        assert store.expire() == 0
        claim = store.claim_next()
        assert (claim.job, claim.owner, claim.file.starts, claim.file.attempts) == (waits, "anna", 1, 0)
        machine.wait(61)
        assert store.expire() == 1
        assert store.repository.job(done) is None
        new = store.add(None, {}, [upload()], 60)
        assert store.repository.job(new.id) == new
