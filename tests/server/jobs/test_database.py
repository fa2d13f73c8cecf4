"""The database of jobs: one process at a time, and what is broken or newer is refused."""

from __future__ import annotations

import sqlite3
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
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=60, check=False)
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
        connection.execute("PRAGMA user_version = 2")
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
        with pytest.raises(UsageError, match=r"jobs\.sqlite is broken .*Move it away") as error:
            JobStore(folder)
        assert error.value.code == "broken_store"
    (folder / "jobs.sqlite").rename(folder.parent / "broken")
    with JobStore(folder) as store:
        assert store.sweep() == 40
        assert store.repository.queue_load().files == 0


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
