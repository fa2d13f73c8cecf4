"""Jobs outlive what happens to the process, the disk and the folder they are kept in."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.command import environment
from overtone.errors import RefusedError, UsageError
from overtone.server.jobs import durable_files
from overtone.server.jobs.fairness import next_owner
from overtone.server.jobs.store import JobStore
from overtone.server.jobs.values import NewFile

FOREVER_S = 1e9


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "jobs"


@pytest.fixture
def store(folder: Path) -> Iterator[JobStore]:
    with JobStore(folder) as opened:
        yield opened


@pytest.fixture
def upload(tmp_path: Path) -> Any:
    """Makes an uploaded file, and what the store is told of it."""
    (tmp_path / "uploads").mkdir()
    count = iter(range(1000))

    def make(content: bytes = b"audio", name: str = "a.wav", claimed_s: float | None = 2.0) -> NewFile:
        path = tmp_path / "uploads" / str(next(count))
        path.write_bytes(content)
        return NewFile(name, path, "abc", claimed_s)

    return make


def names(folder: Path) -> list[str]:
    """What lies in a folder."""
    return sorted(path.name for path in folder.iterdir())


def job_folders(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.is_dir()}


def lines(store: JobStore, id: str) -> list[Any]:
    return [json.loads(line) for line in b"".join(store.results(id)).splitlines()]


def states(store: JobStore, id: str) -> list[str]:
    return [file.state for file in store.files(id)]


def full(*_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def no_pages_left(store: JobStore) -> None:
    """From now on SQLite finds its disk full with what it says itself."""
    store._db.query("PRAGMA max_page_count = 1")


def test_a_job_from_arrival_to_expiry(store, folder, upload):
    before = time.time()
    files = [upload(b"one", "通话.wav"), upload(b"three", "b\udc80.wav", None)]
    job = store.add("anna", {"granularity": "frame", "n": [1, None]}, files, 60)
    assert (job.owner, job.options) == ("anna", {"granularity": "frame", "n": [1, None]})
    assert (job.state, job.open) == ("queued", True)
    assert before <= job.made_s <= job.changed_s <= time.time()
    assert job.expires_s is None
    assert job.files == {"queued": 2, "running": 0, "done": 0, "failed": 0, "cancelled": 0}
    assert not any(file.path.exists() for file in files)
    first, second = store.files(job.id)
    assert (first.number, first.name, first.digest, first.size_bytes, first.claimed_s) == (0, "通话.wav", "abc", 3, 2.0)
    assert (second.number, second.name, second.claimed_s, second.state) == (1, "b\\udc80.wav", None, "queued")
    assert store.files(job.id, 1) == store.files(job.id, 1, 5) == [second]
    assert store.files(job.id, 0, 1) == [first]
    assert store.held_bytes() == 8


def test_a_job_from_its_first_file_to_expiry(store, folder, upload):
    job = store.add("anna", {"x": 1}, [upload(b"one"), upload(b"three")], 60)
    claim = store.claim_next()
    assert (claim.job, claim.owner, claim.options, claim.file.number) == (job.id, "anna", job.options, 0)
    assert claim.file.attempts == 1
    assert claim.path.read_bytes() == b"one"
    claim.answers.write_bytes(b"so far")
    assert store.get(job.id).state == "running"
    assert states(store, job.id) == ["running", "queued"]
    assert store.record(job.id, 0) is None
    vector = folder.parent / "vector.npz"
    vector.write_bytes(b"npz")
    assert store.done(job.id, 0, '{"n": 0}', [vector])
    assert not claim.path.exists()
    assert not claim.answers.exists()
    assert not vector.exists()
    assert store.embedding(job.id, 0).read_bytes() == b"npz"
    assert store.embedding(job.id, 0, 1) is store.embedding(job.id, 0, -1) is None
    assert store.get(job.id).state == "running"
    assert lines(store, job.id) == [{"n": 0}]
    assert store.held_bytes() == 5 + len('{"n": 0}\n') + 3

    assert store.claim_next().file.number == 1
    assert store.claim_next() is None
    assert store.failed(job.id, 1, ['{"error"', ": 1}", ""])
    done = store.get(job.id)
    assert (done.state, done.open) == ("done", False)
    assert done.files["done"] == done.files["failed"] == 1
    assert done.expires_s == done.changed_s + 60
    assert lines(store, job.id) == [{"n": 0}, {"error": 1}]
    assert store.record(job.id, 1).read_bytes() == b'{"error": 1}\n'
    assert store.embedding(job.id, 1) is None
    assert names(folder / job.id) == ["0000.0.npz", "0000.json", "0001.json"]

    assert store.expire(done.expires_s - 1) == 0
    assert store.expire(done.expires_s) == 1
    assert store.get(job.id) is None
    assert store.files(job.id) == []
    assert job_folders(folder) == set()
    assert store.held_bytes() == 0


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
    for name in ("insert", "finish"):
        monkeypatch.setattr(store._rows, name, nothing_missing(getattr(store._rows, name)))
    job = store.add(None, {}, [upload()], 60)
    assert not synced
    claim = store.claim_next()
    claim.path.unlink()  # only what is new counts
    assert store.done(job.id, 0, "{}", [upload().path])
    assert store._db.query("PRAGMA synchronous")[0][0] == 2
    assert store._db.query("PRAGMA journal_mode")[0][0] == "wal"


def test_a_job_whose_files_all_failed_has_failed(store, upload):
    job = store.add(None, {}, [upload()], 60)
    store.claim_next()
    assert store.failed(job.id, 0, "{}")
    assert store.get(job.id).state == "failed"


def test_a_file_of_several_channels(store, folder, upload):
    job = store.add(None, {}, [upload()], 60)
    store.claim_next()
    vectors = [folder.parent / f"{number}.npz" for number in range(2)]
    for vector in vectors:
        vector.write_text(vector.name)
    assert store.done(job.id, 0, ['{"channel": 0}\n', '{"channel": 1}\n', ""], vectors)
    assert store.record(job.id, 0).read_text() == '{"channel": 0}\n{"channel": 1}\n'
    assert [store.embedding(job.id, 0, part).read_text() for part in range(2)] == ["0.npz", "1.npz"]


def test_results_come_in_the_order_of_files_and_in_pieces(store, upload):
    job = store.add(None, {}, [upload() for _ in range(3)], 60)
    for _ in range(3):
        store.claim_next()
    store.done(job.id, 2, '"last"')
    store.done(job.id, 0, ('"' if at in (0, 99) else "x" * 10_000 for at in range(100)))
    assert [len(line) for line in lines(store, job.id)] == [980_000, 4]
    assert max(map(len, store.results(job.id))) <= 1 << 16
    pieces = store.results(job.id)
    next(pieces)
    store.cancel(job.id)
    with pytest.raises(RefusedError, match="removed while it was being read") as refusal:
        list(pieces)
    assert refusal.value.code == "unknown"


def test_a_job_without_files_or_with_options_that_are_no_json(store, folder, upload):
    with pytest.raises(UsageError, match="at least one file"):
        store.add(None, {}, [], 60)
    with pytest.raises(ValueError, match="JSON"):
        store.add(None, {"x": float("nan")}, [upload()], 60)
    assert job_folders(folder) == set()


@pytest.mark.parametrize(
    "id", ["", ".", "..", "../jobs", "/etc", "a" * 31, "A" * 32, "0" * 32, "0" * 32 + "\n", "x" * 999]
)
def test_ids_that_are_none(store, folder, id):
    (folder.parent / "precious").mkdir()
    kept = names(folder.parent)
    assert store.get(id) is None
    assert store.files(id) == []
    assert list(store.results(id)) == []
    assert store.record(id, 0) is store.embedding(id, 0) is None
    assert store.cancel(id) is store.done(id, 0, "{}") is store.failed(id, 0, "{}") is False
    store.release_lease(id, 0)
    assert names(folder.parent) == kept


def test_ids_cannot_be_guessed(store, upload):
    ids = {store.add(None, {}, [upload()], 60).id for _ in range(20)}
    assert len(ids) == 20
    assert {len(id) for id in ids} == {32}
    assert len({id[position] for id in ids for position in range(32)}) == 16


# Turns

OWNERS = st.sampled_from([None, "", "anna", "ben", "carl"])


@given(st.dictionaries(OWNERS, st.integers(1, 99), min_size=1), st.dictionaries(OWNERS, st.integers(1, 99)))
def test_the_next_turn_is_of_the_one_who_waited_longest(waiting, served):
    owner = next_owner(waiting, served)
    assert owner in waiting
    assert all(served.get(owner, 0) <= served.get(other, 0) for other in waiting)
    news = {other: place for other, place in waiting.items() if other not in served}
    assert not news or waiting[owner] == min(news.values())


@given(st.lists(st.sets(OWNERS, min_size=1), max_size=30), OWNERS)
def test_nobody_waits_for_more_than_one_turn_of_each_other(rounds, patient):
    """Whoever comes and goes, and whatever they come with."""
    served: dict[Any, int] = {}
    others: Counter[Any] = Counter()
    for turn, owners in enumerate(rounds, 1):
        owner = next_owner(dict.fromkeys(owners | {patient}, turn), served)
        served[owner] = turn
        others[owner] += 1
        if owner == patient:
            others.clear()
        assert not others or max(others.values()) == 1


def test_owners_take_turns(store, upload):
    jobs = {}
    for name, owner, files in (("a", "anna", 2), ("b", "anna", 2), ("c", None, 1), ("d", "ben", 3)):
        jobs[store.add(owner, {}, [upload() for _ in range(files)], 60).id] = name
    claims = iter(store.claim_next, None)
    assert [(jobs[claim.job], claim.file.number) for claim in claims] == [
        ("a", 0), ("c", 0), ("d", 0), ("a", 1), ("d", 1), ("b", 0), ("d", 2), ("b", 1)
    ]  # fmt: skip


def test_what_waits(store, upload):
    assert (store.waiting().files, store.waiting().claimed_s, store.waiting().size_bytes) == (0, 0, 0)
    first = store.add("anna", {}, [upload(b"12", claimed_s=3.5), upload(b"3", claimed_s=None)], 60)
    second = store.add(None, {}, [upload(b"4567", claimed_s=1.0)], 60)
    load = store.waiting()
    assert (load.files, load.claimed_s, load.unclaimed, load.size_bytes) == (3, 4.5, 1, 7)
    assert [store.waiting_of(owner).files for owner in ("anna", None, "ben")] == [2, 1, 0]
    assert [store.waiting_of(owner).claimed_s for owner in ("anna", None, "ben")] == [3.5, 1.0, 0]
    store.claim_next()
    assert store.waiting() == load  # what runs is not done yet
    store.done(first.id, 0, "{}")
    store.cancel(second.id)
    load = store.waiting()
    assert (load.files, load.claimed_s, load.unclaimed, load.size_bytes) == (1, 0, 1, 1)
    assert store.counts() == {"queued": 0, "running": 1, "done": 0, "failed": 0, "cancelled": 1}


# Cancelling and expiring


def test_cancel_frees_everything_at_once(store, folder, upload):
    job = store.add(None, {}, [upload() for _ in range(3)], 60)
    for _ in range(2):
        store.claim_next()
    store.done(job.id, 0, "{}")
    assert store.cancel(job.id)
    cancelled = store.get(job.id)
    assert (cancelled.state, cancelled.files["cancelled"]) == ("cancelled", 3)
    assert cancelled.expires_s == cancelled.changed_s + 60
    assert job_folders(folder) == set()
    assert (store.held_bytes(), store.waiting().files, lines(store, job.id)) == (0, 0, [])
    assert store.claim_next() is None
    assert store.record(job.id, 0) is None
    # The one that was running comes too late.
    assert store.done(job.id, 1, "{}") is store.failed(job.id, 1, "{}") is False
    store.release_lease(job.id, 1)
    assert store.requeue_running() == 0
    assert store.cancel(job.id)
    assert store.get(job.id).expires_s == cancelled.expires_s
    assert job_folders(folder) == set()
    assert store.expire(cancelled.expires_s) == 1


def test_a_finished_job_can_be_cancelled_and_keeps_its_expiry(store, folder, upload):
    job = store.add(None, {}, [upload()], 60)
    store.claim_next()
    store.done(job.id, 0, "{}")
    expires_s = store.get(job.id).expires_s
    assert store.cancel(job.id)
    assert (store.get(job.id).state, store.get(job.id).expires_s) == ("cancelled", expires_s)
    assert job_folders(folder) == set()


@pytest.mark.parametrize("after", ["", '{"much": "is written'])
def test_cancelled_while_the_record_is_being_written(store, folder, upload, after):
    job = store.add(None, {}, [upload()], 60)
    store.claim_next()

    def record() -> Iterator[str]:
        yield after
        store.cancel(job.id)
        yield "}"

    assert not store.done(job.id, 0, record())
    assert store.get(job.id).state == "cancelled"
    assert job_folders(folder) == set()


def test_cancelled_before_the_record_has_its_row(store, folder, upload, monkeypatch):
    job = store.add(None, {}, [upload()], 60)
    store.claim_next()
    finish = store._rows.finish

    def cancelled_first(*arguments: Any) -> bool:
        store.cancel(job.id)
        (folder / job.id).mkdir()  # as a record that came after would have it
        return finish(*arguments)

    monkeypatch.setattr(store._rows, "finish", cancelled_first)
    assert not store.done(job.id, 0, "{}")
    assert job_folders(folder) == set()


def test_what_is_not_finished_does_not_expire(store, upload):
    store.add(None, {}, [upload()], 0)
    running = store.add(None, {}, [upload()], 0)
    store.claim_next()
    assert store.expire(time.time() + FOREVER_S) == 0
    assert store.get(running.id) is not None


def test_many_expire(store, folder, upload, monkeypatch):
    monkeypatch.setattr("overtone.server.jobs.store._EXPIRED_AT_ONCE", 3)
    for _ in range(8):
        store.cancel(store.add(None, {}, [upload()], 60).id)
    kept = store.add(None, {}, [upload()], 60)
    assert store.expire(time.time() + FOREVER_S) == 8
    assert job_folders(folder) == {kept.id}


# Restarts


def test_what_was_running_waits_again(folder, upload):
    with JobStore(folder) as store:
        half, fresh = (store.add(None, {}, [upload(), upload()], 60) for _ in range(2))
        for _ in range(3):
            store.claim_next()
        store.done(half.id, 0, '"kept"')
    with JobStore(folder) as store:
        assert store.requeue_running() == 2
        assert store.requeue_running() == 0
        assert (states(store, half.id), states(store, fresh.id)) == (["done", "queued"], ["queued", "queued"])
        assert store.get(half.id).state == store.get(fresh.id).state == "queued"
        assert lines(store, half.id) == ["kept"]
        claim = store.claim_next()
        assert (claim.job, claim.file.number, claim.file.attempts) == (half.id, 1, 2)
        assert claim.path.read_bytes() == b"audio"
        assert store.done(half.id, 1, "{}")
        assert store.get(half.id).state == "done"


def test_a_file_that_is_handed_back_counts_as_not_begun(store, upload):
    job = store.add(None, {}, [upload(), upload()], 60)
    for _ in range(2):
        store.claim_next()
    store.release_lease(job.id, 0)
    assert store.get(job.id).state == "running"
    store.release_lease(job.id, 1)
    store.release_lease(job.id, 1)
    assert store.get(job.id).state == "queued"
    assert [(file.state, file.attempts) for file in store.files(job.id)] == [("queued", 0)] * 2
    assert not store.done(job.id, 0, "{}")


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
    insert = store._rows.insert

    def meanwhile(*arguments: Any) -> None:
        swept.append(store.sweep())
        insert(*arguments)
        swept.append(store.sweep())

    monkeypatch.setattr(store._rows, "insert", meanwhile)
    job = store.add(None, {}, [upload(b"whole")], 60)
    assert swept == [0, 0]
    assert store.claim_next().path.read_bytes() == b"whole"
    assert store.get(job.id).state == "running"


KILLED = """
import itertools, sys
from pathlib import Path
from overtone.server.jobs.store import JobStore
from overtone.server.jobs.values import NewFile

folder, uploads = Path(sys.argv[1]), Path(sys.argv[2])
store = JobStore(folder)
store.requeue_running()
store.sweep()

def tell(*words):
    print(*words, flush=True)

for count in itertools.count():
    files = []
    for number in range(3):
        path = uploads / f"{number}"
        path.write_bytes(b"audio of %d" % number)
        files.append(NewFile(f"{number}.wav", path, "digest", 1.0))
    job = store.add("anna" if count % 2 else None, {"count": count}, files, 1e9)
    tell("added", job.id)
    for _ in range(2):
        claim = store.claim_next()
        if claim.file.number == 1:
            assert store.failed(claim.job, claim.file.number, '"%d failed"' % claim.file.number)
        else:
            assert store.done(claim.job, claim.file.number, '"%d done"' % claim.file.number)
        tell("finished", claim.job, claim.file.number)
    if count % 5 == 4:
        store.cancel(job.id)
        tell("cancelled", job.id)
"""


def run_and_kill(folder: Path, uploads: Path, after: int) -> list[list[str]]:
    """What the child said that it had done before it was killed."""
    uploads.mkdir(exist_ok=True)
    command = [sys.executable, "-c", KILLED, str(folder), str(uploads)]
    said = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment(), text=True) as child:
        assert child.stdout is not None
        for line in child.stdout:
            said.append(line.split())
            if len(said) == after:
                child.kill()
        assert child.wait(60) == -signal.SIGKILL
    return said


def test_killed_again_and_again(folder, tmp_path):
    said = []
    for after in (1, 7, 20, 33):
        said += run_and_kill(folder, tmp_path / "uploads", after)
        with JobStore(folder) as store:
            store.requeue_running()
            store.sweep()
            cancelled = {words[1] for words in said if words[0] == "cancelled"}
            for what, id, *number in said:
                job = store.get(id)
                assert job is not None, f"{id} is lost"
                assert sum(job.files.values()) == 3
                if id in cancelled:
                    assert job.state == "cancelled"
                elif what == "finished" and job.state != "cancelled":
                    state = "failed" if number == ["1"] else "done"
                    assert states(store, id)[int(number[0])] == state
                    assert json.loads(store.record(id, int(number[0])).read_text()) == f"{number[0]} {state}"
            # No more on the disk than the rows speak of, and no less.
            expected: dict[str, list[str]] = {}
            held = 0
            for id in (row["id"] for row in store._db.query("SELECT id FROM jobs WHERE state <> 'cancelled'")):
                assert "running" not in states(store, id)
                kinds = {"queued": "upload", "done": "json", "failed": "json"}
                expected[id] = [f"{file.number:04d}.{kinds[file.state]}" for file in store.files(id)]
                found = {path.name for path in (folder / id).iterdir()}
                assert set(expected[id]) <= found
                # A record that was being written is written anew.
                assert all(path.endswith(".json") for path in found - set(expected[id]))
                held += sum((folder / id / name).stat().st_size for name in expected[id])
                uploads = [name for name in expected[id] if name.endswith("upload")]
                assert all((folder / id / name).read_text() == f"audio of {int(name[:4])}" for name in uploads)
            assert job_folders(folder) == set(expected)
            assert store.held_bytes() == held
    assert len(said) > 50


# The folder


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
        assert store.waiting().files == 0


def test_killed_before_the_first_table(folder):
    folder.mkdir(mode=0o700)
    (folder / "jobs.sqlite").touch()
    with JobStore(folder) as store:
        assert store.claim_next() is None


# The disk


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
    assert store.waiting().files == 0
    assert store.add(None, {}, [upload()], 60).state == "queued"


@pytest.mark.parametrize("where", ["files", "rows"])
def test_no_room_for_a_record(store, folder, upload, monkeypatch, where):
    job = store.add(None, {}, [upload()], 60)
    store.claim_next()
    if where == "files":
        monkeypatch.setattr(durable_files.os, "fsync", full)
    else:
        monkeypatch.setattr(store._rows, "finish", lambda *_: (_ for _ in ()).throw(durable_files.disk_full_error()))
    with pytest.raises(RefusedError) as refusal:
        store.done(job.id, 0, "{}", [upload().path])
    assert refusal.value.code == "no_space"
    assert states(store, job.id) == ["running"]
    assert names(folder / job.id) == ["0000.upload"]
    monkeypatch.undo()
    assert store.done(job.id, 0, "{}")
    assert store.get(job.id).state == "done"


def test_a_change_that_fails_on_the_way(store, upload):
    job = store.add(None, {}, [upload()], 60)
    with pytest.raises(ArithmeticError), store._db.execute() as db:
        db.execute("DELETE FROM jobs")
        raise ArithmeticError("no more")
    assert store.get(job.id) == job
    assert store.cancel(job.id)


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


def test_a_folder_that_was_deleted_under_the_store(store, folder, upload):
    job = store.add(None, {}, [upload()], 60)
    store.claim_next()
    shutil.rmtree(folder / job.id)
    with pytest.raises(UsageError, match="No such file"):
        store.done(job.id, 0, "{}")
    assert store.sweep() == 0
    assert store.cancel(job.id)


# Threads


def test_many_threads(store, folder, upload):
    jobs = 12
    uploads = [[upload(), upload()] for _ in range(jobs)]
    claimed: list[tuple[str, int]] = []
    left = threading.Semaphore(2 * jobs)

    def work() -> None:
        while left.acquire(blocking=False):
            while (claim := store.claim_next()) is None:
                time.sleep(0.001)
            claimed.append((claim.job, claim.file.number))
            assert store.done(claim.job, claim.file.number, f'"{claim.file.number}"')
            assert store.sweep() == 0

    with ThreadPoolExecutor(10) as threads:
        workers = [threads.submit(work) for _ in range(4)]
        adding = [threads.submit(store.add, f"o{i % 3}", {}, files, 60) for i, files in enumerate(uploads)]
        ids = {future.result().id for future in adding}
        for worker in workers:
            worker.result()
    assert Counter(claimed) == Counter((id, number) for id in ids for number in range(2))
    assert {store.get(id).state for id in ids} == {"done"}
    assert all(lines(store, id) == ["0", "1"] for id in ids)
    assert job_folders(folder) == ids
