"""Which file is blamed where a process died, and whose turn it is then."""

from __future__ import annotations

import pytest

from helpers.server.jobs import answer, begun, die_over
from overtone.server.jobs.executor import MOST_ATTEMPTS
from overtone.server.jobs.leases import verdict
from overtone.server.jobs.segment_cache import Evidence
from overtone.server.jobs.store import JobStore
from overtone.server.jobs.values import CERTAIN


def attempts(store: JobStore, id: str) -> list[int]:
    return [file.attempts for file in store.repository.files(id)]


def test_kills_of_a_file_that_goes_on_are_not_counted(store, upload):
    job = store.add(None, {}, [upload()], 60)
    for number in range(3 * MOST_ATTEMPTS):
        lease = store.claim_next()
        assert (lease.file.starts, lease.file.attempts) == (number + 1, 0)
        answer(lease, b"%d" % number)
        die_over(lease, b"the next one")
        assert store.requeue_running() == 1
    assert attempts(store, job.id) == [0]


def test_what_comes_out_again_is_no_progress(store, upload):
    job = store.add(None, {}, [upload()], 60)
    for count in range(MOST_ATTEMPTS + 1):
        lease = store.claim_next()
        answer(lease, b"first")
        die_over(lease)
        store.requeue_running()
        assert attempts(store, job.id) == [count * CERTAIN]


def test_what_comes_out_after_all_clears_a_file(store, upload):
    job = store.add(None, {}, [upload()], 60)
    for _ in range(2):
        die_over(store.claim_next())
        store.requeue_running()
    answer(store.claim_next(), b"another")
    store.requeue_running()
    assert attempts(store, job.id) == [0]


@pytest.mark.parametrize(
    ("left", "kill", "fault"),
    [
        (Evidence(), (1, 0), (1, 0)),  # nothing had begun, or its record was being written
        (Evidence(begun=True), (1, 0), (1, CERTAIN)),  # it was being decoded, in another process
        (Evidence(begun=True, in_batch=True), (1, 1), (1, CERTAIN)),
        (Evidence(progress=True, begun=True, in_batch=True), (0, 0), (0, 0)),
    ],
)
def test_how_much_speaks_against_a_file(left, kill, fault):
    assert (verdict(left, fault=False), verdict(left, fault=True)) == (kill, fault)


def test_a_file_that_is_killed_before_anything_of_it_comes_out_is_given_up_late(store, upload):
    job = store.add(None, {}, [upload()], 60)
    for count in range(MOST_ATTEMPTS * CERTAIN):
        assert attempts(store, job.id) == [count]
        die_over(store.claim_next())
        store.requeue_running(fault=False)
    for _ in range(5):  # being killed while it is decoded says nothing
        begun(store.claim_next()).close()
        store.requeue_running(fault=False)
    assert attempts(store, job.id) == [MOST_ATTEMPTS * CERTAIN]


@pytest.mark.parametrize("broken", [False, True])
def test_a_file_of_which_nothing_had_begun_is_not_blamed(store, upload, broken):
    job = store.add(None, {}, [upload(), upload()], 60)
    first, second = store.claim_next(), store.claim_next()
    if broken:
        first.answers.write_bytes(b"RIFF" * 100)
    die_over(second)
    store.requeue_running()
    assert attempts(store, job.id)[0] == 0


def test_a_suspect_runs_alone_and_first_until_something_comes_out(store, upload):
    store.add("ben", {}, [upload()], 60)
    job = store.add("anna", {}, [upload(), upload(), upload()], 60)
    leases = [store.claim_next() for _ in range(3)]
    assert [lease.owner for lease in leases] == ["ben", "anna", "anna"]
    die_over(leases[1])
    die_over(leases[2])
    store.requeue_running()
    assert attempts(store, job.id) == [CERTAIN, CERTAIN, 0]
    first = store.claim_next()
    assert (first.job, first.file.number, first.file.suspect) == (job.id, 0, True)
    assert store.claim_next() is None
    store.leases.clear_suspicion(job.id, 0)
    assert store.claim_next() is None  # the other one waits until nothing else runs
    store.done(job.id, 0, "{}")
    assert store.claim_next().file.number == 1
    assert store.claim_next() is None
    store.done(job.id, 1, "{}")
    assert {store.claim_next().owner for _ in range(2)} == {"ben", "anna"}


def test_a_fault_of_its_own_counts_unless_something_came_out(store, upload):
    job = store.add(None, {}, [upload()], 60)
    store.hand_back(store.claim_next())
    assert attempts(store, job.id) == [CERTAIN]
    lease = store.claim_next()
    answer(lease, b"first")
    store.hand_back(lease)
    assert attempts(store, job.id) == [0]


def test_a_file_that_is_handed_back_is_as_it_was(store, upload):
    job = store.add(None, {}, [upload()], 60)
    store.hand_back(store.claim_next())
    lease = store.claim_next()
    die_over(lease)
    store.leases.release(job.id, 0)
    assert attempts(store, job.id) == [CERTAIN]
    assert store.repository.job(job.id).state == "queued"
