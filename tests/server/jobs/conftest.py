"""A store of jobs, its folder, and files to put into it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from overtone.server.jobs.service_clock import Clocks
from overtone.server.jobs.store import JobStore
from overtone.server.jobs.values import NewFile


@dataclass
class Machine:
    """A machine's clocks, set by the test. `date_s`: the wall clock's, unix seconds. `up_s`: since it was started."""

    date_s: float = 1_800_000_000.0
    up_s: float = 1000.0
    boot: str = "first"

    @property
    def clocks(self) -> Clocks:
        return Clocks(lambda: self.date_s, lambda: self.up_s, lambda: self.boot)

    def wait(self, seconds: float) -> None:
        self.date_s += seconds
        self.up_s += seconds

    def restart(self, off_s: float = 60.0) -> None:
        self.boot += " next"
        self.up_s = 10.0
        self.date_s += off_s


@pytest.fixture
def machine() -> Machine:
    return Machine()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "jobs"


@pytest.fixture
def store(folder: Path, machine: Machine) -> Iterator[JobStore]:
    with JobStore(folder, machine.clocks) as opened:
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
