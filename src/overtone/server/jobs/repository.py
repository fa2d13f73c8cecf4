"""Rows of jobs and of their files, and all the SQL about them. Nothing here touches a file.

Ids may come from anywhere, as they are bound as values: a text that is no id is that of an unknown job.
"""

from __future__ import annotations

import itertools
import json
import sqlite3
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, get_args

from overtone.errors import printable
from overtone.server.jobs.database import Database
from overtone.server.jobs.fairness import next_owner
from overtone.server.jobs.values import Job, JobFile, NewFile, Owner, QueueLoad, State

_WAITING = """
SELECT owner, MIN(seq) FROM jobs
WHERE state IN ('queued', 'running') AND EXISTS (SELECT 1 FROM files WHERE state = 'queued' AND job = seq)
GROUP BY owner
"""

_LOAD = """
SELECT COUNT(*), TOTAL(claimed_s), COUNT(*) - COUNT(claimed_s), CAST(TOTAL(size_bytes) AS INTEGER)
FROM files JOIN jobs ON seq = job WHERE files.state IN ('queued', 'running')
"""

_OF_JOB = "FROM files JOIN jobs ON seq = job WHERE id = ?"

_FILE = "job = (SELECT seq FROM jobs WHERE id = ?) AND number = ?"

_END = """
UPDATE jobs SET
    state = CASE WHEN EXISTS (SELECT 1 FROM files WHERE state = 'done' AND job = seq) THEN 'done' ELSE 'failed' END,
    expires_s = changed_s + keep_s
WHERE id = ? AND NOT EXISTS (SELECT 1 FROM files WHERE state IN ('queued', 'running') AND job = seq)
"""

_PAUSE = """
UPDATE jobs SET state = 'queued', changed_s = ?
WHERE state = 'running' AND NOT EXISTS (SELECT 1 FROM files WHERE state = 'running' AND job = seq)
"""


@dataclass(frozen=True, slots=True)
class NewJob:
    """A job that is taken in. `keep_s`: how long it is kept from when it is finished."""

    id: str
    owner: Owner
    options: Mapping[str, Any]
    keep_s: float


class JobRepository:
    """The rows of all jobs and of their files, and the owners' turns. Thread-safe; raises what `Database` raises."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._served: dict[Owner, int] = {}
        self._turns = itertools.count(1)

    def insert(self, job: NewJob, files: Sequence[NewFile], sizes: Sequence[int]) -> None:
        """Add a job that waits, and its files, with the size in bytes of each."""
        now_s = time.time()
        head = (job.id, job.owner, json.dumps(dict(job.options), allow_nan=False), now_s, now_s, job.keep_s)
        with self._db.execute() as db:
            seq = db.execute(
                "INSERT INTO jobs (id, owner, options, state, made_s, changed_s, keep_s)"
                " VALUES (?, ?, ?, 'queued', ?, ?, ?)",
                head,
            ).lastrowid
            db.executemany(
                "INSERT INTO files VALUES (?, ?, ?, ?, ?, ?, 'queued', 0, 0, ?)",
                [
                    (seq, number, printable(file.name), file.digest, size, file.claimed_s, size)
                    for number, (file, size) in enumerate(zip(files, sizes, strict=True))
                ],
            )

    def job(self, id: str) -> Job | None:
        """A job as it is now; None for one that is unknown or has expired."""
        counts = f"SELECT files.state, COUNT(*) {_OF_JOB} GROUP BY files.state"
        rows = self._db.query("SELECT * FROM jobs WHERE id = ?", id)
        return _job(rows[0], self._db.query(counts, id)) if rows else None

    def files(self, id: str, first: int = 0, count: int | None = None) -> list[JobFile]:
        """Files of a job in order, `count` of them from number `first` on; none of an unknown job."""
        question = f"SELECT files.* {_OF_JOB} AND number >= ? ORDER BY number LIMIT ?"
        return [_file(row) for row in self._db.query(question, id, first, -1 if count is None else count)]

    def file(self, id: str, number: int) -> JobFile | None:
        """One file; None if there is none."""
        rows = self._db.query(f"SELECT * FROM files WHERE {_FILE}", id, number)
        return _file(rows[0]) if rows else None

    def numbers(self, id: str, *states: State) -> list[int]:
        """The numbers of a job's files in those states, in order."""
        marks = ", ".join("?" * len(states))
        question = f"SELECT number {_OF_JOB} AND files.state IN ({marks}) ORDER BY number"
        return [number for (number,) in self._db.query(question, id, *states)]

    def claim(self) -> tuple[Job, JobFile] | None:
        """The next file, running from now on, and its job, whose `files` are not counted; None if nothing waits."""
        with self._db.execute() as db:
            waiting: dict[Owner, int] = dict(db.execute(_WAITING).fetchall())
            if not waiting:
                return None
            owner = next_owner(waiting, self._served)
            self._served[owner] = next(self._turns)
            seq = waiting[owner]
            first = "SELECT MIN(number) FROM files WHERE state = 'queued' AND job = ?"
            (number,) = db.execute(first, (seq,)).fetchone()
            db.execute(
                "UPDATE files SET state = 'running', attempts = attempts + 1 WHERE job = ? AND number = ?",
                (seq, number),
            )
            db.execute("UPDATE jobs SET state = 'running', changed_s = ? WHERE seq = ?", (time.time(), seq))
            job = db.execute("SELECT * FROM jobs WHERE seq = ?", (seq,)).fetchone()
            file = db.execute("SELECT * FROM files WHERE job = ? AND number = ?", (seq, number)).fetchone()
        return _job(job), _file(file)

    def finish(self, id: str, number: int, state: State, embeddings: int, held_bytes: int) -> bool:
        """End a running file as done or failed, and its job with its last file. False if the file is not running."""
        with self._db.execute() as db:
            found = db.execute(
                f"UPDATE files SET state = ?, embeddings = ?, held_bytes = ? WHERE state = 'running' AND {_FILE}",
                (state, embeddings, held_bytes, id, number),
            ).rowcount
            if found:
                db.execute("UPDATE jobs SET changed_s = ? WHERE id = ?", (time.time(), id))
                db.execute(_END, (id,))
        return bool(found)

    def release_lease(self, id: str, number: int, *, begun: bool = False) -> None:
        """Let a running file wait again, as if it had not been begun: for a service that is being stopped.

        begun: this time counts, as what ended it may have been the file.
        """
        with self._db.execute() as db:
            db.execute(
                f"UPDATE files SET state = 'queued', attempts = attempts - ? WHERE state = 'running' AND {_FILE}",
                (0 if begun else 1, id, number),
            )
            db.execute(f"{_PAUSE} AND id = ?", (time.time(), id))

    def requeue_running(self) -> int:
        """Let the files wait again that were running when the last process died. Their number. Their `attempts` stay,
        so that a file that takes the process down each time is found out."""
        with self._db.execute() as db:
            requeued = db.execute("UPDATE files SET state = 'queued' WHERE state = 'running'").rowcount
            db.execute(_PAUSE, (time.time(),))
        return requeued

    def cancel(self, id: str) -> bool:
        """Cancel a job and its files, in whatever state they are. False if there is none."""
        now_s = time.time()
        with self._db.execute() as db:
            found = db.execute(
                "UPDATE jobs SET state = 'cancelled', changed_s = ?, expires_s = COALESCE(expires_s, ? + keep_s)"
                " WHERE id = ?",
                (now_s, now_s, id),
            ).rowcount
            db.execute(
                "UPDATE files SET state = 'cancelled', held_bytes = 0 WHERE job = (SELECT seq FROM jobs WHERE id = ?)",
                (id,),
            )
        return bool(found)

    def expired(self, now_s: float, count: int) -> list[str]:
        """Ids of jobs whose time is over, at most `count`."""
        return [id for (id,) in self._db.query("SELECT id FROM jobs WHERE expires_s <= ? LIMIT ?", now_s, count)]

    def delete(self, ids: Iterable[str]) -> None:
        """Forget jobs and their files."""
        with self._db.execute() as db:
            db.executemany("DELETE FROM jobs WHERE id = ?", [(id,) for id in ids])

    def counts(self) -> dict[str, int]:
        """Number of jobs in each state, all states named."""
        return _counts(self._db.query("SELECT state, COUNT(*) FROM jobs GROUP BY state"))

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


def _job(row: sqlite3.Row, counts: Iterable[sqlite3.Row] = ()) -> Job:
    times_s = (row["made_s"], row["changed_s"], row["expires_s"])
    return Job(row["id"], row["owner"], json.loads(row["options"]), row["state"], *times_s, _counts(counts))


def _counts(rows: Iterable[sqlite3.Row]) -> dict[str, int]:
    counts: dict[str, int] = dict.fromkeys(get_args(State), 0)
    counts.update((state, count) for state, count in rows)
    return counts


def _file(row: sqlite3.Row) -> JobFile:
    return JobFile(**{field.name: row[field.name] for field in fields(JobFile)})
