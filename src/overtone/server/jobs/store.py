"""Store of jobs, which survive a restart and a kill: rows in SQLite, and a folder for each job.

A row speaks only of files that are there: uploads and records are written before their row, and deleted after it has
changed. What a kill leaves in between, files that no row speaks of, `sweep` takes away. Folders that were there before
the database was are not: they are set aside.

`JobRepository` and `JobLeases` have the SQL, `JobStorage` the files; here is the work that needs both, in the order
that keeps this so.
"""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from overtone.errors import Code, OvertoneError, RefusedError, UsageError
from overtone.server.jobs.database import Database
from overtone.server.jobs.durable_files import STORAGE
from overtone.server.jobs.leases import JobLeases
from overtone.server.jobs.repository import JobRepository, NewJob
from overtone.server.jobs.segment_cache import Evidence, evidence
from overtone.server.jobs.service_clock import Clocks, ServiceClock
from overtone.server.jobs.storage import JobStorage, is_id, new_id, own_folder
from overtone.server.jobs.values import Job, JobFile, JobLease, NewFile, Owner, RequestKey, State

_LOG = logging.getLogger("overtone.server.jobs")

_DATABASE = "jobs.sqlite"

_EXPIRED_AT_ONCE = 100
"""Jobs removed in one change, so that others need not wait long."""


class JobStore:
    """All jobs, in `folder`, which one process owns. Thread-safe; every method may wait for the disk. Close it, or use
    it as a context manager.

    repository, leases: the rows, for all that needs no file. To finish, cancel or delete a job takes the methods here.

    What a method has done when it returns survives a kill, and a loss of power as far as `database.py` says. At start,
    call `requeue_running` and `sweep`. Ids may come from anywhere: a text that is no id is that of an
    unknown job.

    Raises UsageError for a folder that another process owns, that cannot be written, or that holds something else and
    that others can look into; and for a database that is broken or of a newer Overtone. Every method that writes
    raises RefusedError (no_space) where the disk is full, and then nothing of it has happened.
    """

    def __init__(self, folder: Path, clocks: Clocks | None = None) -> None:
        self._storage = JobStorage(folder)
        self._adding: set[str] = set()
        self._closed = False
        self._owned = own_folder(folder, _DATABASE)
        try:
            self._db = Database(folder / _DATABASE, self._set_aside)
            self._clock = ServiceClock(self._db, clocks)
        except BaseException:
            self._owned.release()
            raise
        self.repository = JobRepository(self._db, self._clock)
        self.leases = JobLeases(self._db, self.repository, self._clock)

    def _set_aside(self) -> None:
        """Move away what no row knows where there are no rows at all: it is the database that is missing."""
        if (aside := self._storage.set_aside(datetime.now(timezone.utc))) is not None:
            _LOG.warning(
                "there are folders of jobs, and their database %s is missing or empty; they are set aside in %s, with "
                "their audio (.upload) and records (.json)",
                _DATABASE,
                aside,
            )

    def add(
        self,
        owner: Owner,
        options: Mapping[str, Any],
        files: Sequence[NewFile],
        expires_in_s: float,
        key: RequestKey | None = None,
    ) -> Job:
        """Take in a job of one file or more, and keep it for `expires_in_s` seconds from when it is finished.

        options: what JSON can hold. key: of the request, which no other job of the owner may have. The files are moved
        in; where this fails, those that were moved are gone.
        """
        if not files:
            raise UsageError("a job needs at least one file")
        id = new_id()
        self._adding.add(id)
        try:
            sizes = self._storage.create_with_uploads(id, files)
            self.repository.insert(NewJob(id, owner, options, expires_in_s, key), files, sizes)
        except BaseException:
            self._storage.remove(id)
            raise
        finally:
            self._adding.discard(id)
        job = self.repository.job(id)
        assert job is not None
        return job

    def claim_next(self) -> JobLease | None:
        """The next file to work on, which is running from now on; None if nothing waits.

        Owners take turns; of each, the oldest job with a file that waits, and its files in order.
        """
        if (claimed := self.leases.claim()) is None:
            return None
        job, file = claimed
        path, answers = self._storage.upload(job.id, file.number), self._storage.answers(job.id, file.number)
        return JobLease(job.id, job.owner, job.options, file, path, answers)

    def requeue_running(self, *, fault: bool = True) -> int:
        """Let the files wait again that were running when the last process died. Their number.

        fault: it is known to have ended over its own fault. Each file that had something under way, and of which
        nothing came out in its last start, is suspect: one that takes the process down each time is found out.
        """
        left = {(id, number): self._left(id, number, start) for id, number, start in self.leases.running()}
        self.leases.requeue(left, fault=fault)
        return len(left)

    def hand_back(self, lease: JobLease) -> None:
        """Let a running file wait again after a fault that may be its own, which counts unless something came out."""
        id, number = lease.job, lease.file.number
        left = self._left(id, number, lease.file.starts)
        self.leases.release(id, number, Evidence(left.progress, begun=True))

    def _left(self, id: str, number: int, start: int) -> Evidence:
        return evidence(self._storage.answers(id, number), start)

    def retry(self, id: str) -> int:
        """Let the files of a job wait again that failed and whose audio was kept. Their number: 0 if there are none."""
        return len(self.repository.retry(id))  # what is written over their records is theirs

    def done(self, id: str, number: int, record: str | Iterable[str], embeddings: Sequence[Path] = ()) -> bool:
        """Keep the result of a running file, and delete its audio. False if it is not wanted, as the job was cancelled.

        record: one line of JSON, or one for each channel, as text or in pieces of any size, which are written as they
        come. embeddings: `.npz` files to move in, one, or one for each channel. Where this fails the file is still
        running, and the embeddings are gone: hand it back.
        """
        return self._finish(id, number, "done", record, embeddings)

    def failed(self, id: str, number: int, record: str | Iterable[str], *, retryable: bool = False) -> bool:
        """Keep the record of a running file that cannot be answered; it carries the error. Otherwise as `done`.

        retryable: keep its audio too, until the job expires, for `retry`.
        """
        return self._finish(id, number, "failed", record, (), retryable)

    def _finish(
        self,
        id: str,
        number: int,
        state: State,
        record: str | Iterable[str],
        embeddings: Sequence[Path],
        retryable: bool = False,
    ) -> bool:
        if not self._file(id, number, "running"):
            return False
        pieces = [record] if isinstance(record, str) else record
        try:
            size_bytes = self._storage.keep(id, number, pieces, embeddings)
        except OvertoneError:
            if self._file(id, number, "running"):
                raise
            return False  # cancelled: its folder was taken away under the record
        try:
            wanted = self.leases.finish(id, number, state, len(embeddings), size_bytes, retryable)
        except BaseException:
            self._storage.drop(id, number, len(embeddings))
            raise
        if wanted and not retryable:
            self._storage.free_upload(id, number)
        elif not wanted:  # cancelled while the record was being written
            self._storage.remove(id)
        return wanted

    def cancel(self, id: str) -> bool:
        """Cancel a job, finished or not, and delete its uploads and results now. It is known until it expires. False
        for an unknown one."""
        if not is_id(id):
            return False
        try:
            known = self.repository.cancel(id)
        except OvertoneError as error:
            if error.code not in STORAGE:
                raise
            # The disk is full, and this is what makes room on it.
            self._storage.remove(id)
            try:
                known = self.repository.cancel(id)
            except OvertoneError:
                # What made it full has taken that, too. Without its folder it is cancelled, also after a kill.
                known = self.repository.cancel_unwritten(id)
        if known:
            self._storage.remove(id)
        return known

    def expire(self) -> int:
        """Remove the finished and cancelled jobs whose time is over by the `ServiceClock`. Their number."""
        with suppress(RefusedError):  # the disk is full, and this is what makes room on it
            self._clock.save()
        removed = 0
        while ids := self.repository.expired(_EXPIRED_AT_ONCE):
            # Here the files go first: on a full disk that makes room for the change, and half of it is done again.
            for id in ids:
                self._storage.remove(id)
            self.repository.delete(ids)
            removed += len(ids)
        return removed

    def sweep(self) -> int:
        """Delete what a kill has left: folders that no row knows, audio of files that are done. Number of folders.

        A job whose folder is gone was cancelled on a full disk, and its row says so from now on.
        """
        removed = 0
        known = self.repository.known()  # before the folders, which are there first
        for id in set(known).difference(self._storage.job_ids()):
            self.repository.cancel(id)
        for id in self._storage.job_ids():
            if id in self._adding:  # asked before the rows, which know it as soon as it is not
                continue
            job = self.repository.job(id)
            if job is None or job.state == "cancelled":
                self._storage.remove(id)
                removed += 1
            else:
                self._storage.remove_uploads_except(id, self.repository.numbers_with_audio(id))
        if removed:
            _LOG.info("%d folders of jobs that were not taken in, or are cancelled, are deleted", removed)
        return removed

    def results(self, id: str) -> Generator[bytes, None, None]:
        """The records of the files that are done or failed so far, in order, in pieces; joined, they are lines of JSON.

        RefusedError (unknown) now where a record is gone from the disk, and later if the job is cancelled or expires
        before the last piece.
        """
        numbers = self.repository.numbers(id, "done", "failed") if is_id(id) else []
        if (gone := next((one for one in numbers if not self._storage.record(id, one).exists()), None)) is not None:
            raise self._gone(id, gone)
        return self._read(id, numbers)

    def _read(self, id: str, numbers: Iterable[int]) -> Generator[bytes, None, None]:
        for number in numbers:
            try:
                yield from self._storage.read_record(id, number)
            except FileNotFoundError:
                raise self._gone(id, number) from None

    def _gone(self, id: str, number: int) -> RefusedError:
        """The error to raise where a record is not there that a row speaks of."""
        if not self._file(id, number, "done", "failed"):
            return RefusedError(f"job {id} was removed while it was being read.", code=Code.UNKNOWN)
        _LOG.error("the record of file %d of job %s is gone from the folder of jobs", number, id)
        return RefusedError(
            f"the record of file {number} of job {id} is gone from the service's disk; others can be fetched by their "
            "numbers, with `file`.",
            code=Code.UNKNOWN,
        )

    def result(self, id: str, number: int) -> Generator[bytes, None, None] | None:
        """As `results`, of one file; None if it has none, or not yet."""
        path = self.record(id, number)
        if path is not None and not path.exists():
            raise self._gone(id, number)
        return None if path is None else self._read(id, (number,))

    def record(self, id: str, number: int) -> Path | None:
        """The record of one file; None if there is none, or not yet."""
        return self._storage.record(id, number) if self._file(id, number, "done", "failed") else None

    def embedding(self, id: str, number: int, part: int = 0) -> Path | None:
        """The `.npz` of one file, or of its channel number `part`; None if there is none, or not yet."""
        file = self._file(id, number, "done", "failed")
        return self._storage.embedding(id, number, part) if file and 0 <= part < file.embeddings else None

    def _file(self, id: str, number: int, *states: State) -> JobFile | None:
        file = self.repository.file(id, number) if is_id(id) else None
        return file if file and file.state in states else None

    def close(self) -> None:
        """Let go of the folder. Closing again does nothing."""
        if not self._closed:
            self._closed = True
            with suppress(OvertoneError):  # the seconds since the last time are all that is lost
                self._clock.save()
        self._db.close()
        self._owned.release()

    def __enter__(self) -> JobStore:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
