"""Leases of files of jobs: whose turn it is, how a file's turn ends, and which file is blamed where a process ended."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

from overtone.server.jobs.database import Database
from overtone.server.jobs.fairness import next_owner
from overtone.server.jobs.repository import OF_ANY, OF_FILE, JobRepository, file_of
from overtone.server.jobs.segment_cache import Evidence
from overtone.server.jobs.service_clock import ServiceClock
from overtone.server.jobs.values import CERTAIN, Job, JobFile, Owner, State

_WAITING = """
SELECT owner, MIN(seq) FROM jobs
WHERE state IN ('queued', 'running') AND EXISTS (SELECT 1 FROM files WHERE state = 'queued' AND job = seq)
GROUP BY owner
"""

_END = """
UPDATE jobs SET
    state = CASE WHEN EXISTS (SELECT 1 FROM files WHERE state = 'done' AND job = seq) THEN 'done' ELSE 'failed' END,
    expires_s = ? + keep_s
WHERE id = ? AND NOT EXISTS (SELECT 1 FROM files WHERE state IN ('queued', 'running') AND job = seq)
"""

_SUSPECT = """
SELECT job, number, owner FROM files JOIN jobs ON seq = job
WHERE attempts > 0 AND files.state = 'queued' ORDER BY job, number LIMIT 1
"""

_RELEASE = "UPDATE files SET state = 'queued', attempts = attempts * ? + ? WHERE state = 'running'"

_PAUSE = """
UPDATE jobs SET state = 'queued', changed_s = ?
WHERE state = 'running'
    AND NOT EXISTS (SELECT 1 FROM files WHERE state IN ('running', 'done', 'failed') AND job = seq)
"""


class JobLeases:
    """The files that run, and the owners' turns. Thread-safe; raises what `Database` raises."""

    def __init__(self, db: Database, rows: JobRepository, clock: ServiceClock) -> None:
        self._db, self._rows, self._clock = db, rows, clock
        self._served: dict[Owner, int] = {}
        self._turns = itertools.count(1)

    def claim(self) -> tuple[Job, JobFile] | None:
        """The next file, running from now on, and its job, whose `files` are not counted; None if nothing waits, or
        what waits has to.

        A suspect (`JobFile.suspect`) comes before all others, and runs alone.
        """
        with self._rows.change() as db:
            (running, suspects) = db.execute(
                "SELECT COUNT(*), COUNT(CASE WHEN attempts > 0 THEN 1 END) FROM files WHERE state = 'running'"
            ).fetchone()
            suspect = db.execute(_SUSPECT).fetchone()
            if suspects or (suspect and running):
                return None
            if suspect:
                seq, number, owner = suspect
            else:
                waiting: dict[Owner, int] = dict(db.execute(_WAITING).fetchall())
                if not waiting:
                    return None
                owner = next_owner(waiting, self._served)
                seq = waiting[owner]
                first = "SELECT MIN(number) FROM files WHERE state = 'queued' AND job = ?"
                (number,) = db.execute(first, (seq,)).fetchone()
            self._served[owner] = next(self._turns)
            place = (seq, number)
            db.execute("UPDATE files SET state = 'running', starts = starts + 1 WHERE job = ? AND number = ?", place)
            now_s = self._clock.wall_now_s()
            db.execute("UPDATE jobs SET state = 'running', changed_s = ? WHERE seq = ?", (now_s, seq))
            job = db.execute("SELECT * FROM jobs WHERE seq = ?", (seq,)).fetchone()
            file = db.execute("SELECT * FROM files WHERE job = ? AND number = ?", place).fetchone()
        return self._rows.job_of(job), file_of(file)

    def finish(
        self, id: str, number: int, state: State, embeddings: int, held_bytes: int, retryable: bool = False
    ) -> bool:
        """End a running file as done or failed, and its job with its last file. False if the file is not running.

        held_bytes: of its record and embeddings. retryable: it failed, and its audio is kept.
        """
        with self._rows.change() as db:
            found = db.execute(
                "UPDATE files SET state = ?, embeddings = ?, retryable = ?,"
                f" held_bytes = ? + CASE WHEN ? THEN size_bytes ELSE 0 END WHERE state = 'running' AND {OF_FILE}",
                (state, embeddings, retryable, held_bytes, retryable, id, number),
            ).rowcount
            if found:
                db.execute("UPDATE jobs SET changed_s = ? WHERE id = ?", (self._clock.wall_now_s(), id))
                db.execute(_END, (self._clock.now_s(), id))
        return bool(found)

    def release(self, id: str, number: int, left: Evidence | None = None) -> None:
        """Let a running file wait again, as if it had not been begun: for a service that is being stopped.

        left: what this start left, where it ended by a fault that may be the file's.
        """
        with self._rows.change() as db:
            db.execute(f"{_RELEASE} AND {OF_FILE}", (*verdict(left or Evidence(), fault=True), id, number))
            db.execute(f"{_PAUSE} AND id = ?", (self._clock.wall_now_s(), id))

    def running(self) -> list[tuple[str, int, int]]:
        """Running files: the job's id, the number, and which start of the file it is."""
        return [(*row,) for row in self._db.query(f"SELECT id, number, starts {OF_ANY} WHERE files.state = 'running'")]

    def requeue(self, left: Mapping[tuple[str, int], Evidence], *, fault: bool) -> None:
        """Let running files wait again, as the process that ran them has died. Their jobs are running: begun.

        left: what the start of each left, by job and number. fault: as for `verdict`.
        """
        with self._rows.change() as db:
            for place, found in left.items():
                db.execute(f"{_RELEASE} AND {OF_FILE}", (*verdict(found, fault=fault), *place))

    def clear_suspicion(self, id: str, number: int) -> None:
        """Let others run beside a file again, as something of it has come out."""
        with self._rows.change() as db:
            db.execute(f"UPDATE files SET attempts = 0 WHERE {OF_FILE}", (id, number))


def verdict(left: Evidence, *, fault: bool) -> tuple[int, int]:
    """Factor and summand for a file's `attempts`: its own progress clears it of all before.

    fault: the process is known to have ended over a fault, and not by a kill from outside. Then all that was begun is
    suspect; else only what a model had, since files are decoded elsewhere.
    """
    if left.progress:
        return 0, 0
    return 1, (CERTAIN if left.begun else 0) if fault else int(left.in_batch)
