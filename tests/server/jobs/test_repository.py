"""Jobs by owner and key, and what of them is asked for again."""

from __future__ import annotations

import pytest

from helpers.server.jobs import answer, begun, lines, names, states
from overtone.server.jobs.store import JobStore
from overtone.server.jobs.values import RequestKey


def test_what_was_given_up_is_asked_for_again(store, folder, upload, machine):
    job = store.add(None, {}, [upload(b"audio"), upload(b"noise"), upload(b"broken")], 60)
    for _ in range(3):
        lease = store.claim_next()
    answer(lease, b"first")
    store.done(job.id, 0, '"done"')
    store.failed(job.id, 1, '"failed"')
    assert store.retry(job.id) == 0
    assert store.failed(job.id, 2, '"given up"', retryable=True)
    ended = store.repository.job(job.id)
    assert ended.state == "done"
    assert store.sweep() == 0
    assert names(folder / job.id) == ["0000.json", "0001.json", "0002.answers", "0002.json", "0002.upload"]
    assert store.repository.held_bytes() == len('"done"\n"failed"\n"given up"\n') + len(b"broken")
    assert store.repository.retryable_seconds(job.id) == 2.0

    machine.wait(50)
    assert store.retry(job.id) == 1
    assert store.retry(job.id) == 0
    again = store.repository.job(job.id)
    assert (again.state, again.expires_s) == ("queued", None)
    assert states(store, job.id) == ["done", "failed", "queued"]
    assert lines(store, job.id) == ["done", "failed"]
    lease = store.claim_next()
    assert (lease.file.number, lease.file.attempts, lease.path.read_bytes()) == (2, 0, b"broken")
    with begun(lease) as answers:
        assert answers.recall(b"first") is not None
    assert store.done(job.id, 2, '"at last"')
    assert lines(store, job.id) == ["done", "failed", "at last"]
    assert names(folder / job.id) == ["0000.json", "0001.json", "0002.json"]
    machine.wait(59)
    assert store.expire() == 0
    machine.wait(1)
    assert store.expire() == 1


def test_audio_that_was_kept_goes_with_its_job(store, folder, upload, machine):
    expired, cancelled = (store.add(None, {}, [upload()], 60).id for _ in range(2))
    for id in (expired, cancelled):
        store.claim_next()
        assert store.failed(id, 0, "{}", retryable=True)
    store.cancel(cancelled)
    assert store.retry(cancelled) == store.retry("0" * 32) == store.retry("no id") == 0
    machine.wait(60)
    assert store.expire() == 2
    assert [path.name for path in folder.iterdir() if path.is_dir()] == []


def test_a_job_that_runs_goes_on_while_some_of_it_is_asked_for_again(store, upload):
    job = store.add(None, {}, [upload(), upload()], 60)
    store.claim_next()
    store.claim_next()
    store.failed(job.id, 0, "{}", retryable=True)
    assert store.retry(job.id) == 1
    assert store.repository.job(job.id).state == "running"


def test_a_job_is_found_by_its_owner_and_key(folder, upload, machine):
    with JobStore(folder, machine.clocks) as store:
        mine = store.add("anna", {}, [upload()], 60, RequestKey("k", "digest"))
        open_to_all = store.add(None, {}, [upload()], 60, RequestKey("k", "other"))
        store.add("anna", {}, [upload()], 60)
        store.add("anna", {}, [upload()], 60)
        store.cancel(mine.id)
    with JobStore(folder, machine.clocks) as store:
        found, digest = store.repository.job_of_key("anna", "k")
        assert (found.id, found.state, digest) == (mine.id, "cancelled", "digest")
        assert store.repository.job_of_key(None, "k")[0].id == open_to_all.id
        assert store.repository.job_of_key("ben", "k") is store.repository.job_of_key("anna", "K") is None
        machine.wait(60)
        store.expire()
        assert store.repository.job_of_key("anna", "k") is None
        store.add("anna", {}, [upload()], 60, RequestKey("k", "new"))


def test_an_owner_s_jobs_the_newest_first(store, upload, machine):
    mine = []
    for number in range(5):
        store.add(None, {}, [upload()], 60)
        machine.date_s -= 100  # the order is that of arrival, and not of dates
        mine.insert(0, store.add("anna", {"n": number}, [upload(), upload()], 60))
    assert store.repository.jobs_of("anna", 10) == mine
    assert store.repository.jobs_of("anna", 2) == mine[:2]
    assert store.repository.jobs_of("anna", 2, mine[1].id) == mine[2:4]
    assert store.repository.jobs_of("anna", 2, mine[4].id) == []
    assert store.repository.jobs_of("ben", 10) == []
    (others,) = {job.owner for job in store.repository.jobs_of(None, 10)}
    assert others is None
    for unknown in ("0" * 32, store.repository.jobs_of(None, 1)[0].id):
        with pytest.raises(KeyError):
            store.repository.jobs_of("anna", 10, unknown)
