"""Jobs from arrival to expiry, whatever happens to the process in between."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from helpers.command import environment
from helpers.server.jobs import job_folders, lines, names, states
from helpers.waiting import until
from overtone.errors import RefusedError, UsageError
from overtone.server.jobs.database import Database
from overtone.server.jobs.durable_files import disk_full_error
from overtone.server.jobs.store import JobStore

FOREVER_S = 1e9


def test_a_job_from_arrival_to_expiry(store, folder, upload, machine):
    files = [upload(b"one", "通话.wav"), upload(b"three", "b\udc80.wav", None)]
    job = store.add("anna", {"granularity": "frame", "n": [1, None]}, files, 60)
    assert (job.owner, job.options) == ("anna", {"granularity": "frame", "n": [1, None]})
    assert (job.state, job.open) == ("queued", True)
    assert job.made_s == job.changed_s == machine.date_s
    assert job.expires_s is None
    assert job.files == {"queued": 2, "running": 0, "done": 0, "failed": 0, "cancelled": 0}
    assert not any(file.path.exists() for file in files)
    first, second = store.repository.files(job.id)
    assert (first.number, first.name, first.digest, first.size_bytes, first.claimed_s) == (0, "通话.wav", "abc", 3, 2.0)
    assert (second.number, second.name, second.claimed_s, second.state) == (1, "b\\udc80.wav", None, "queued")
    assert store.repository.files(job.id, 1) == store.repository.files(job.id, 1, 5) == [second]
    assert store.repository.files(job.id, 0, 1) == [first]
    assert store.repository.held_bytes() == 8


def test_a_job_from_its_first_file_to_expiry(store, folder, upload, machine):
    job = store.add("anna", {"x": 1}, [upload(b"one"), upload(b"three")], 60)
    claim = store.claim_next()
    assert (claim.job, claim.owner, claim.options, claim.file.number) == (job.id, "anna", job.options, 0)
    assert (claim.file.starts, claim.file.attempts) == (1, 0)
    assert claim.path.read_bytes() == b"one"
    claim.answers.write_bytes(b"so far")
    claim.answers.with_name(claim.answers.name + "-wal").write_bytes(b"and more")
    assert store.repository.job(job.id).state == "running"
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
    assert store.repository.job(job.id).state == "running"
    assert lines(store, job.id) == [{"n": 0}]
    assert store.repository.held_bytes() == 5 + len('{"n": 0}\n') + 3

    assert store.claim_next().file.number == 1
    assert store.claim_next() is None
    assert store.failed(job.id, 1, ['{"error"', ": 1}", ""])
    done = store.repository.job(job.id)
    assert (done.state, done.open) == ("done", False)
    assert done.files["done"] == done.files["failed"] == 1
    assert done.expires_s == pytest.approx(done.changed_s + 60)
    assert lines(store, job.id) == [{"n": 0}, {"error": 1}]
    assert store.record(job.id, 1).read_bytes() == b'{"error": 1}\n'
    assert store.embedding(job.id, 1) is None
    assert names(folder / job.id) == ["0000.0.npz", "0000.json", "0001.json"]

    machine.wait(59)
    assert store.expire() == 0
    machine.wait(1)
    assert store.expire() == 1
    assert store.repository.job(job.id) is None
    assert store.repository.files(job.id) == []
    assert job_folders(folder) == set()
    assert store.repository.held_bytes() == 0


def test_a_job_whose_files_all_failed_has_failed(store, upload):
    job = store.add(None, {}, [upload()], 60)
    store.claim_next()
    assert store.failed(job.id, 0, "{}")
    assert store.repository.job(job.id).state == "failed"


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


def test_a_record_that_is_gone_from_the_disk_is_said_before_anything_is_sent(store, upload, folder):
    job = store.add(None, {}, [upload() for _ in range(2)], 60)
    for number in range(2):
        store.claim_next()
        store.done(job.id, number, f'"{number}"')
    store.record(job.id, 1).unlink()
    for ask in (lambda: store.results(job.id), lambda: store.result(job.id, 1)):
        with pytest.raises(RefusedError, match=f"record of file 1 of job {job.id} is gone") as refusal:
            ask()
        assert refusal.value.code == "unknown"
        assert str(folder) not in str(refusal.value)
    assert b"".join(store.result(job.id, 0)) == b'"0"\n'
    assert store.result(job.id, 2) is None


def test_a_job_without_files_or_with_options_that_are_no_json(store, folder, upload):
    with pytest.raises(UsageError, match="at least one file"):
        store.add(None, {}, [], 60)
    with pytest.raises(ValueError, match="JSON"):
        store.add(None, {"x": float("nan")}, [upload()], 60)
    assert job_folders(folder) == set()


def test_what_waits(store, upload):
    load = store.repository.queue_load()
    assert (load.files, load.claimed_s, load.size_bytes) == (0, 0, 0)
    first = store.add("anna", {}, [upload(b"12", claimed_s=3.5), upload(b"3", claimed_s=None)], 60)
    second = store.add(None, {}, [upload(b"4567", claimed_s=1.0)], 60)
    load = store.repository.queue_load()
    assert (load.files, load.claimed_s, load.unclaimed, load.size_bytes) == (3, 4.5, 1, 7)
    assert [store.repository.queue_load_of(owner).files for owner in ("anna", None, "ben")] == [2, 1, 0]
    assert [store.repository.queue_load_of(owner).claimed_s for owner in ("anna", None, "ben")] == [3.5, 1.0, 0]
    store.claim_next()
    assert store.repository.queue_load() == load  # what runs is not done yet
    store.done(first.id, 0, "{}")
    store.cancel(second.id)
    load = store.repository.queue_load()
    assert (load.files, load.claimed_s, load.unclaimed, load.size_bytes) == (1, 0, 1, 1)
    assert store.repository.counts() == {"queued": 0, "running": 1, "done": 0, "failed": 0, "cancelled": 1}


def test_cancel_frees_everything_at_once(store, folder, upload, machine):
    job = store.add(None, {}, [upload() for _ in range(3)], 60)
    for _ in range(2):
        store.claim_next()
    store.done(job.id, 0, "{}")
    assert store.cancel(job.id)
    cancelled = store.repository.job(job.id)
    assert (cancelled.state, cancelled.files["cancelled"]) == ("cancelled", 3)
    assert cancelled.expires_s == pytest.approx(cancelled.changed_s + 60)
    assert job_folders(folder) == set()
    assert (store.repository.held_bytes(), store.repository.queue_load().files, lines(store, job.id)) == (0, 0, [])
    assert store.claim_next() is None
    assert store.record(job.id, 0) is None
    # The one that was running comes too late.
    assert store.done(job.id, 1, "{}") is store.failed(job.id, 1, "{}") is False
    store.leases.release(job.id, 1)
    assert store.requeue_running() == 0
    assert store.cancel(job.id)
    assert store.repository.job(job.id).expires_s == cancelled.expires_s
    assert job_folders(folder) == set()
    machine.wait(60)
    assert store.expire() == 1


def test_a_finished_job_can_be_cancelled_and_keeps_its_expiry(store, folder, upload):
    job = store.add(None, {}, [upload()], 60)
    store.claim_next()
    store.done(job.id, 0, "{}")
    expires_s = store.repository.job(job.id).expires_s
    assert store.cancel(job.id)
    assert (store.repository.job(job.id).state, store.repository.job(job.id).expires_s) == ("cancelled", expires_s)
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
    assert store.repository.job(job.id).state == "cancelled"
    assert job_folders(folder) == set()


def test_cancelled_before_the_record_has_its_row(store, folder, upload, monkeypatch):
    job = store.add(None, {}, [upload()], 60)
    store.claim_next()
    finish = store.leases.finish

    def cancelled_first(*arguments: Any) -> bool:
        store.cancel(job.id)
        (folder / job.id).mkdir()  # as a record that came after would have it
        return finish(*arguments)

    monkeypatch.setattr(store.leases, "finish", cancelled_first)
    assert not store.done(job.id, 0, "{}")
    assert job_folders(folder) == set()


def test_what_is_not_finished_does_not_expire(store, upload, machine):
    store.add(None, {}, [upload()], 0)
    running = store.add(None, {}, [upload()], 0)
    store.claim_next()
    machine.wait(FOREVER_S)
    assert store.expire() == 0
    assert store.repository.job(running.id) is not None


def test_many_expire(store, folder, upload, machine, monkeypatch):
    monkeypatch.setattr("overtone.server.jobs.store._EXPIRED_AT_ONCE", 3)
    for _ in range(8):
        store.cancel(store.add(None, {}, [upload()], 60).id)
    kept = store.add(None, {}, [upload()], 60)
    machine.wait(FOREVER_S)
    assert store.expire() == 8
    assert job_folders(folder) == {kept.id}


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
        # They were begun, and go on.
        assert store.repository.job(half.id).state == store.repository.job(fresh.id).state == "running"
        assert lines(store, half.id) == ["kept"]
        claim = store.claim_next()
        assert (claim.job, claim.file.number, claim.file.starts) == (half.id, 1, 2)
        assert claim.path.read_bytes() == b"audio"
        assert store.done(half.id, 1, "{}")
        assert store.repository.job(half.id).state == "done"


def test_a_file_that_is_handed_back_counts_as_not_begun(store, upload):
    job = store.add(None, {}, [upload(), upload()], 60)
    for _ in range(2):
        store.claim_next()
    store.leases.release(job.id, 0)
    assert store.repository.job(job.id).state == "running"
    store.leases.release(job.id, 1)
    store.leases.release(job.id, 1)
    assert store.repository.job(job.id).state == "queued"
    assert [(file.state, file.attempts) for file in store.repository.files(job.id)] == [("queued", 0)] * 2
    assert not store.done(job.id, 0, "{}")


KILLED = """
import itertools, sys
from pathlib import Path
from overtone.server.jobs.database import Database
from overtone.server.jobs.durable_files import disk_full_error
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
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment(), encoding="utf-8") as child:
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
                job = store.repository.job(id)
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
                expected[id] = [f"{file.number:04d}.{kinds[file.state]}" for file in store.repository.files(id)]
                found = {path.name for path in (folder / id).iterdir()}
                assert set(expected[id]) <= found
                # A record that was being written is written anew.
                assert all(path.endswith(".json") for path in found - set(expected[id]))
                held += sum((folder / id / name).stat().st_size for name in expected[id])
                uploads = [name for name in expected[id] if name.endswith("upload")]
                assert all((folder / id / name).read_text() == f"audio of {int(name[:4])}" for name in uploads)
            assert job_folders(folder) == set(expected)
            assert store.repository.held_bytes() == held
    assert len(said) > 50


def test_many_threads(store, folder, upload):
    jobs = 12
    uploads = [[upload(), upload()] for _ in range(jobs)]
    claimed: list[tuple[str, int]] = []
    left = threading.Semaphore(2 * jobs)

    def work() -> None:
        while left.acquire(blocking=False):
            claim = until(store.claim_next, "there is a file")
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
    assert {store.repository.job(id).state for id in ids} == {"done"}
    assert all(lines(store, id) == ["0", "1"] for id in ids)
    assert job_folders(folder) == ids


def full_disk(monkeypatch: Any) -> None:
    """A database that takes no change."""

    @contextmanager
    def full(self: Database) -> Iterator[Any]:
        raise disk_full_error()
        yield

    monkeypatch.setattr(Database, "execute", full)


def test_a_job_is_cancelled_on_a_disk_that_stays_full(store, folder, upload, monkeypatch):
    kept, unwanted = store.add(None, {}, [upload()], 60), store.add(None, {}, [upload(), upload()], 60)
    with monkeypatch.context() as patched:
        full_disk(patched)
        assert store.cancel(unwanted.id)
        assert not store.cancel("0" * 32)
        assert not (folder / unwanted.id).exists()
        job = store.repository.job(unwanted.id)
        assert (job.state, job.files["cancelled"], job.files["queued"]) == ("cancelled", 2, 0)
    # Written down with the next change, so nothing of it is begun.
    assert store.claim_next().job == kept.id
    assert store.claim_next() is None
    assert [file.state for file in store.repository.files(unwanted.id)] == ["cancelled"] * 2


def test_a_job_cancelled_on_a_full_disk_stays_so_after_a_kill(folder, upload, monkeypatch):
    with JobStore(folder) as store:
        kept, unwanted = store.add(None, {}, [upload()], 60), store.add(None, {}, [upload()], 60)
        full_disk(monkeypatch)
        assert store.cancel(unwanted.id)
        monkeypatch.undo()
    with JobStore(folder) as store:
        store.requeue_running()
        assert store.sweep() == 0
        assert store.repository.job(unwanted.id).state == "cancelled"
        assert store.repository.job(kept.id).state == "queued"
