"""What tests of the store of jobs look at: its folders, lines and states; and disks that are full."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from overtone.server.jobs.segment_cache import SegmentCheckpoint
from overtone.server.jobs.store import JobStore
from overtone.server.jobs.values import JobLease
from overtone.types import EmotionOutput

ANSWER = EmotionOutput(1, np.ones(1), device="cpu")


def begun(lease: JobLease) -> SegmentCheckpoint:
    return SegmentCheckpoint(lease.answers, fingerprint="tiny", start=lease.file.starts)


def answer(lease: JobLease, digest: bytes) -> None:
    with begun(lease) as answers:
        answers.begin(digest)
        answers.keep(digest, ANSWER)


def die_over(lease: JobLease, digest: bytes = b"deadly") -> None:
    """Something of it was under way, and nothing came out."""
    with begun(lease) as answers:
        answers.begin(digest)


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
