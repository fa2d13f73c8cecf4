"""Rows of jobs and of their files, but for whose turn it is (`leases.py`). Nothing here touches a file.

Ids may come from anywhere, as they are bound as values: a text that is no id is that of an unknown job.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from typing import Any, get_args

from overtone.errors import printable
from overtone.server.jobs.database import Database
from overtone.server.jobs.service_clock import ServiceClock
from overtone.server.jobs.values import Job, JobFile, NewFile, Owner, QueueLoad, RequestKey, State

_LOAD = """
SELECT COUNT(*), TOTAL(claimed_s), COUNT(*) - COUNT(claimed_s), CAST(TOTAL(size_bytes) AS INTEGER)
FROM files JOIN jobs ON seq = job WHERE files.state IN ('queued', 'running')
"""

OF_ANY = "FROM files JOIN jobs ON seq = job"

_OF_JOB = f"{OF_ANY} WHERE id = ?"

OF_FILE = "job = (SELECT seq FROM jobs WHERE id = ?) AND number = ?"

_RETRY = """
UPDATE files SET state = 'queued', attempts = 0, retryable = 0, embeddings = 0, held_bytes = size_bytes
WHERE state = 'failed' AND retryable AND job = (SELECT seq FROM jobs WHERE id = ?)
"""

_OF_KEY = "(owner IS NULL) = ? AND IFNULL(owner, '') = ? AND ask_key = ?"


@dataclass(frozen=True, slots=True)
class NewJob:
    """A job that is taken in. `keep_s`: how long it is kept from when it is finished. `key`: of its request, if any."""

    id: str
    owner: Owner
    options: Mapping[str, Any]
    keep_s: float
    key: RequestKey | None = None


class JobRepository:
    """The rows of all jobs and of their files. Thread-safe; raises what `Database` raises."""

    def __init__(self, db: Database, clock: ServiceClock) -> None:
        self._db, self._clock = db, clock
        self._unwritten: set[str] = set()

    @contextmanager
    def change(self) -> Iterator[sqlite3.Connection]:
        """A transaction, in which the cancellations come first that a full disk has not taken before."""
        with self._db.execute() as db:
            late = tuple(self._unwritten)
            for id in late:
                self._cancel(db, id)
            yield db
        self._unwritten.difference_update(late)

    def insert(self, job: NewJob, files: Sequence[NewFile], sizes: Sequence[int]) -> None:
        """Add a job that waits, and its files, with the size in bytes of each."""
        now_s = self._clock.wall_now_s()
        key = (None, None) if job.key is None else (job.key.key, job.key.digest)
        head = (job.id, job.owner, json.dumps(dict(job.options), allow_nan=False), now_s, now_s, job.keep_s, *key)
        with self.change() as db:
            seq = db.execute(
                "INSERT INTO jobs (id, owner, options, state, made_s, changed_s, keep_s, ask_key, ask_digest)"
                " VALUES (?, ?, ?, 'queued', ?, ?, ?, ?, ?)",
                head,
            ).lastrowid
            db.executemany(
                "INSERT INTO files VALUES (?, ?, ?, ?, ?, ?, 'queued', 0, 0, ?, 0, 0)",
                [
                    (seq, number, printable(file.name), file.digest, size, file.claimed_s, size)
                    for number, (file, size) in enumerate(zip(files, sizes, strict=True))
                ],
            )

    def job(self, id: str) -> Job | None:
        """A job as it is now; None for one that is unknown or has expired."""
        counts = f"SELECT files.state, COUNT(*) {_OF_JOB} GROUP BY files.state"
        rows = self._db.query("SELECT * FROM jobs WHERE id = ?", id)
        if not rows:
            return None
        job = self.job_of(rows[0], self._db.query(counts, id))
        if id in self._unwritten:
            states = {**dict.fromkeys(job.files, 0), "cancelled": sum(job.files.values())}
            return replace(job, state="cancelled", files=states)
        return job

    def known(self) -> list[str]:
        """Ids of all jobs that are not cancelled."""
        return [id for (id,) in self._db.query("SELECT id FROM jobs WHERE state <> 'cancelled'")]

    def job_of(self, row: sqlite3.Row, counts: Iterable[sqlite3.Row] = ()) -> Job:
        """The job that a row of `jobs` is, and how many of its files are in each state."""
        expires_s = None if row["expires_s"] is None else self._clock.wall_s(row["expires_s"])
        head = (row["id"], row["owner"], json.loads(row["options"]), row["state"])
        return Job(*head, row["made_s"], row["changed_s"], expires_s, _counts(counts))

    def jobs_of(self, owner: Owner, count: int, after: str | None = None) -> list[Job]:
        """Jobs of an owner, the newest first, `count` of them at most, older than that called `after`. KeyError where
        `after` is none of the owner's."""
        where, values = "owner IS ?", [owner]
        if after is not None:
            rows = self._db.query("SELECT seq FROM jobs WHERE id = ? AND owner IS ?", after, owner)
            if not rows:
                raise KeyError(after)
            where, values = f"{where} AND seq < ?", [owner, rows[0]["seq"]]
        found = self._db.query(f"SELECT id FROM jobs WHERE {where} ORDER BY seq DESC LIMIT ?", *values, count)
        return [job for row in found if (job := self.job(row["id"])) is not None]

    def job_of_key(self, owner: Owner, key: str) -> tuple[Job, str] | None:
        """The job that an owner handed in with a key, and the digest of that request; None if there is none."""
        question = f"SELECT id, ask_digest FROM jobs WHERE {_OF_KEY}"
        rows = self._db.query(question, owner is None, owner or "", key)
        job = self.job(rows[0]["id"]) if rows else None
        return None if job is None else (job, rows[0]["ask_digest"])

    def files(self, id: str, first: int = 0, count: int | None = None) -> list[JobFile]:
        """Files of a job in order, `count` of them from number `first` on; none of an unknown job."""
        question = f"SELECT files.* {_OF_JOB} AND number >= ? ORDER BY number LIMIT ?"
        return [file_of(row) for row in self._db.query(question, id, first, -1 if count is None else count)]

    def file(self, id: str, number: int) -> JobFile | None:
        """One file; None if there is none."""
        rows = self._db.query(f"SELECT * FROM files WHERE {OF_FILE}", id, number)
        return file_of(rows[0]) if rows else None

    def numbers(self, id: str, *states: State) -> list[int]:
        """The numbers of a job's files in those states, in order."""
        marks = ", ".join("?" * len(states))
        question = f"SELECT number {_OF_JOB} AND files.state IN ({marks}) ORDER BY number"
        return [number for (number,) in self._db.query(question, id, *states)]

    def numbers_with_audio(self, id: str) -> list[int]:
        """The numbers of a job's files whose audio is kept: not finished, or `retryable`."""
        wanted = "(files.state IN ('queued', 'running') OR files.state = 'failed' AND retryable)"
        return [number for (number,) in self._db.query(f"SELECT number {_OF_JOB} AND {wanted}", id)]

    def retry(self, id: str) -> list[int]:
        """Let the files of a job wait again that failed and have their audio; their numbers."""
        with self.change() as db:
            question = f"SELECT number {_OF_JOB} AND files.state = 'failed' AND retryable ORDER BY number"
            numbers = [number for (number,) in db.execute(question, (id,)).fetchall()]
            if numbers:
                db.execute(_RETRY, (id,))
                db.execute(
                    "UPDATE jobs SET expires_s = NULL, changed_s = ?,"
                    " state = CASE WHEN state = 'running' THEN state ELSE 'queued' END WHERE id = ?",
                    (self._clock.wall_now_s(), id),
                )
        return numbers

    def cancel(self, id: str) -> bool:
        """Cancel a job and its files, in whatever state they are. False if there is none."""
        with self.change() as db:
            return self._cancel(db, id)

    def cancel_unwritten(self, id: str) -> bool:
        """Cancel a job on a disk that is too full to say so: it counts as cancelled from now on, and the next change of
        any row writes it down. False if there is none."""
        if self.job(id) is None:
            return False
        self._unwritten.add(id)
        return True

    def _cancel(self, db: sqlite3.Connection, id: str) -> bool:
        found = db.execute(
            "UPDATE jobs SET state = 'cancelled', changed_s = ?, expires_s = COALESCE(expires_s, ? + keep_s)"
            " WHERE id = ?",
            (self._clock.wall_now_s(), self._clock.now_s(), id),
        ).rowcount
        its_files = "job = (SELECT seq FROM jobs WHERE id = ?)"
        db.execute(f"UPDATE files SET state = 'cancelled', held_bytes = 0 WHERE {its_files}", (id,))
        return bool(found)

    def expired(self, count: int) -> list[str]:
        """Ids of jobs whose time is over by the `ServiceClock`, at most `count`."""
        question = "SELECT id FROM jobs WHERE expires_s <= ? LIMIT ?"
        return [id for (id,) in self._db.query(question, self._clock.now_s(), count)]

    def delete(self, ids: Iterable[str]) -> None:
        """Forget jobs and their files."""
        with self.change() as db:
            db.executemany("DELETE FROM jobs WHERE id = ?", [(id,) for id in ids])

    def counts(self) -> dict[str, int]:
        """Number of jobs in each state, all states named."""
        return _counts(self._db.query("SELECT state, COUNT(*) FROM jobs GROUP BY state"))

    def retryable_seconds(self, id: str) -> float:
        """Claimed seconds of the files of a job that `retry` would let wait again."""
        question = f"SELECT TOTAL(claimed_s) {_OF_JOB} AND files.state = 'failed' AND retryable"
        return float(self._db.query(question, id)[0][0])

    def seconds(self, id: str) -> tuple[float, float]:
        """Claimed seconds of the files of a job that are finished, and of all of them."""
        finished = "TOTAL(CASE WHEN files.state IN ('done', 'failed') THEN claimed_s ELSE 0 END)"
        return tuple(self._db.query(f"SELECT {finished}, TOTAL(claimed_s) {_OF_JOB}", id)[0])

    def queue_load(self) -> QueueLoad:
        """The work of all owners that is not finished."""
        return QueueLoad(*self._db.query(_LOAD)[0])

    def queue_load_of(self, owner: Owner) -> QueueLoad:
        """The work of one owner that is not finished."""
        return QueueLoad(*self._db.query(f"{_LOAD} AND owner IS ?", owner)[0])

    def held_bytes(self) -> int:
        """Bytes of uploads, records and embeddings on disk; without each `SegmentCheckpoint` of an unfinished file."""
        return int(self._db.query("SELECT TOTAL(held_bytes) FROM files")[0][0])


def _counts(rows: Iterable[sqlite3.Row]) -> dict[str, int]:
    counts: dict[str, int] = dict.fromkeys(get_args(State), 0)
    counts.update((state, count) for state, count in rows)
    return counts


def file_of(row: sqlite3.Row) -> JobFile:
    """The file that a row of `files` is."""
    values = {field.name: row[field.name] for field in fields(JobFile)}
    return JobFile(**{**values, "retryable": bool(values["retryable"])})
