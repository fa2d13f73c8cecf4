"""How many connections there may be, with so many open files."""

from __future__ import annotations

import json
import resource
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.command import COMMAND, environment
from overtone.errors import UsageError
from overtone.server.descriptors import (
    BACKLOG,
    DECODERS,
    LEAST_CONNECTIONS,
    MOST_CONNECTIONS,
    backlog,
    connections_for,
    raise_file_limit,
)

OWN = 64 + 6 * DECODERS + 4 * 2 + 8
"""What the service takes by itself, with two jobs and eight streams at once."""


@pytest.mark.parametrize(
    ("limit", "connections"),
    [(1 << 20, MOST_CONNECTIONS), (1000, (1000 - OWN - BACKLOG) // 2), (256, (256 - OWN) // 3)],
)
def test_connections_for_open_files(limit: int, connections: int) -> None:
    assert connections_for(limit, DECODERS, 2, 8) == connections


@given(st.integers(1, 10_000), st.integers(1, 64), st.integers(1, 64), st.integers(0, 1000))
def test_connections_and_what_they_bring_fit_into_the_limit(limit: int, decoders: int, jobs: int, live: int) -> None:
    own = 64 + 6 * decoders + 4 * jobs + live
    try:
        most = connections_for(limit, decoders, jobs, live)
    except UsageError:
        assert limit < own + 3 * LEAST_CONNECTIONS
    else:
        assert LEAST_CONNECTIONS <= most <= MOST_CONNECTIONS
        assert own + 2 * most + backlog(most) <= limit


def test_a_process_that_may_have_too_few_open_files_does_not_start(tmp_path: Path) -> None:
    """It says how many it has, how many it needs, and what to do, before a model is loaded."""
    limited = ["sh", "-c", 'ulimit -n 100 && exec "$@"', "sh", *COMMAND]
    done = subprocess.run(
        [*limited, "serve", "--port", "0", "--log", "json", "--jobs", str(tmp_path)],
        check=False,
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        env=environment(),
        cwd=tmp_path,
    )
    assert done.returncode == 2
    (line,) = map(json.loads, done.stderr.splitlines())
    assert line["level"] == "error"
    for part in ("may have 100 files open", "the service needs", "ulimit -n"):
        assert part in line["message"]


def test_the_limit_is_raised_as_far_as_the_system_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "setrlimit", lambda kind, limits: made.append(limits))
    for now in ((256, 1000), (256, resource.RLIM_INFINITY), (256, 1 << 20), (1000, 1000), (1 << 19, 1 << 20)):
        monkeypatch.setattr(resource, "getrlimit", lambda kind, now=now: now)
        raise_file_limit()
    assert made == [(1000, 1000), (8000, resource.RLIM_INFINITY), (8000, 1 << 20)]
