"""How far jobs are, and when they will be done."""

from __future__ import annotations

import pytest

from overtone.server.jobs import progress
from overtone.server.jobs.progress import Progress


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, as the only item."""
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_the_speed_is_that_of_the_time_so_far(clock):
    watched = Progress()
    watched.update("job", 0, 5.0)
    assert watched.rate("job") is None  # one look tells of no speed
    for step in range(1, 11):
        clock[0] = 100.0 + step
        watched.update("job", 0, 5.0 + 20.0 * step)
    assert watched.rate("job") == pytest.approx(20.0)
    assert watched.get("job") == 205.0


def test_two_files_that_report_at_nearly_the_same_time_are_not_taken_for_a_fast_job(clock):
    watched = Progress()
    for step in range(10):
        for number in (0, 1):
            clock[0] = 100.0 + step + number / 1000
            watched.update("job", number, 10.0 * (step + 1))
    assert watched.rate("job") == pytest.approx(20.0, rel=0.2)


def test_a_change_of_speed_is_seen_within_a_minute(clock):
    watched = Progress()
    seconds = 0.0
    for step in range(200):
        clock[0] += 1.0
        seconds += 50.0 if step < 100 else 5.0
        watched.update("job", 0, seconds)
    assert watched.rate("job") == pytest.approx(5.0, rel=0.5)


def test_a_job_that_is_forgotten_is_unknown(clock):
    watched = Progress()
    watched.update("job", 0, 5.0)
    watched.update("other", 0, 7.0)
    watched.remove("job")
    assert (watched.get("job"), watched.rate("job"), watched.get("other")) == (0.0, None, 7.0)
    watched.done("other", 0)
    assert watched.get("other") == 0.0
