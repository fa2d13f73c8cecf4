"""What tests of the store of jobs look at: its folders, lines and states; and disks that are full."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

from overtone.server.jobs.store import JobStore


def names(folder: Path) -> list[str]:
    """What lies in a folder."""
    return sorted(path.name for path in folder.iterdir())


def job_folders(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.is_dir()}


def lines(store: JobStore, id: str) -> list[Any]:
    return [json.loads(line) for line in b"".join(store.results(id)).splitlines()]


def states(store: JobStore, id: str) -> list[str]:
    return [file.state for file in store.repository.files(id)]


def full(*_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def no_pages_left(store: JobStore) -> None:
    """From now on SQLite finds its disk full with what it says itself."""
    store._db.query("PRAGMA max_page_count = 1")
