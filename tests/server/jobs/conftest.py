"""A store of jobs, its folder, and files to put into it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from overtone.server.jobs.store import JobStore
from overtone.server.jobs.values import NewFile


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
