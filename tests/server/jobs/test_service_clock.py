"""Jobs expire by time that has passed, whatever the date was, is or becomes."""

from __future__ import annotations

import pytest

from overtone.server.jobs.service_clock import Clocks, boot_id, boot_seconds, passed_s
from overtone.server.jobs.store import JobStore

DAY_S = 86_400.0
YEAR_S = 365 * DAY_S


def finished(store, upload):
    """A job that is finished now, and is kept for a day."""
    job = store.add(None, {}, [upload()], DAY_S)
    store.claim_next()
    assert store.done(job.id, 0, "{}")
    return store.repository.job(job.id)


@pytest.mark.parametrize(
    ("now", "last", "passed"),
    [
        (("a", 100.0), ("a", 40.0), 60.0),
        (("a", 100.0), ("b", 40.0), 0.0),  # the machine was started anew
        (("a", 40.0), ("a", 100.0), 0.0),  # a file from another machine with the same id
        (("", 100.0), ("", 40.0), 0.0),  # a system that cannot tell
    ],
)
def test_what_has_certainly_passed(now, last, passed):
    assert passed_s(*now, *last) == passed


@pytest.mark.parametrize("jump_s", [10 * YEAR_S, 2 * DAY_S, -10 * YEAR_S])
def test_a_date_that_jumps_while_it_runs_expires_nothing_and_keeps_nothing(store, upload, machine, jump_s):
    job = finished(store, upload)
    machine.wait(DAY_S - 10)
    machine.date_s += jump_s
    assert store.expire() == 0
    # It is said by the new date when it expires.
    assert store.repository.job(job.id).expires_s == pytest.approx(machine.date_s + 10)
    machine.wait(10)
    assert store.expire() == 1


@pytest.mark.parametrize("jump_s", [10 * YEAR_S, 2 * DAY_S, -10 * YEAR_S])
@pytest.mark.parametrize("boots", [False, True])
def test_a_date_that_jumps_between_two_runs_expires_nothing(folder, upload, machine, jump_s, boots):
    with JobStore(folder, machine.clocks) as store:
        job = finished(store, upload)
        machine.wait(DAY_S - 10)
    if boots:
        machine.restart()
    machine.date_s += jump_s
    with JobStore(folder, machine.clocks) as store:
        assert store.expire() == 0
        assert store.repository.job(job.id).expires_s == pytest.approx(machine.date_s + 10)
        machine.wait(10)
        assert store.expire() == 1


def test_time_between_two_runs_counts_while_the_machine_is_up(folder, upload, machine):
    with JobStore(folder, machine.clocks) as store:
        finished(store, upload)
    machine.wait(DAY_S)
    with JobStore(folder, machine.clocks) as store:
        assert store.expire() == 1


def test_time_that_the_machine_was_off_does_not_count(folder, upload, machine):
    with JobStore(folder, machine.clocks) as store:
        finished(store, upload)
    machine.restart(off_s=30 * DAY_S)
    with JobStore(folder, machine.clocks) as store:
        assert store.expire() == 0
        machine.wait(DAY_S)
        assert store.expire() == 1


def test_a_kill_takes_back_no_time_and_a_loss_of_power_what_was_not_written_down(folder, upload, machine):
    for lost in (False, True):
        killed = JobStore(folder, machine.clocks)
        job = finished(killed, upload)
        machine.wait(100)
        killed.expire()  # writes the time down
        machine.wait(30)
        killed._db.close()
        killed._owned.release()
        if lost:
            machine.restart(off_s=1000)
        with JobStore(folder, machine.clocks) as store:
            left_s = store.repository.job(job.id).expires_s - machine.date_s
            assert left_s == pytest.approx(DAY_S - (100 if lost else 130))


def test_dates_are_steady_while_clocks_drift(store, upload, machine):
    job = finished(store, upload)
    machine.wait(1000)
    machine.date_s += 0.5
    assert store.repository.job(job.id) == job


def test_the_machine_s_own_clocks():
    clocks = Clocks()
    before_s = boot_seconds()
    assert before_s <= clocks.boot_s() <= boot_seconds()
    assert clocks.boot() == boot_id()
    assert clocks.wall_s() > 1_700_000_000
