"""Where jobs are kept, so that they survive a restart and a kill: rows in SQLite, and a folder for each job.

A row speaks only of files that are there: uploads and records are written before their row, and deleted after it has
changed. What a kill leaves in between, files that no row speaks of, `sweep` takes away.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from overtone.errors import Code, OvertoneError, RefusedError, UsageError
from overtone.server.jobs.database import Database
from overtone.server.jobs.durable_files import make_private, map_disk_errors
from overtone.server.jobs.repository import JobRepository, NewJob
from overtone.server.jobs.storage import JobStorage, is_id, new_id
from overtone.server.jobs.values import Job, JobFile, JobLease, NewFile, Owner, QueueLoad, State
from overtone.system.files import iter_chunks

_DATABASE = "jobs.sqlite"

_LOCK = "jobs.lock"

_EXPIRED_AT_ONCE = 100
"""Jobs removed in one change, so that others need not wait long."""


class JobStore:
    """All jobs, in `folder`, which one process owns. Thread-safe; every method may wait for the disk. Close it, or use
    it as a context manager.

    What a method has done when it returns survives a kill, and a loss of power as far as `database.py` says. At start,
    call `requeue_running` and `sweep`. Ids may come from anywhere: what is no id is an unknown job.

    Raises UsageError for a folder that another process owns, that cannot be written, or that holds something else and
    that others can look into; and for a database that is broken or of a newer Overtone. Every method that writes
    raises RefusedError (no_space) where the disk is full, and then nothing of it has happened.
    """

    def __init__(self, folder: Path) -> None:
        with map_disk_errors(folder):
            make_private(folder, _DATABASE)
            # Not tied to this thread: another may close it.
            self._owned = FileLock(folder / _LOCK, mode=0o600, thread_local=False)
            try:
                self._owned.acquire(timeout=0)
            except Timeout:
                raise UsageError(
                    f"{folder}: another process keeps its jobs there; stop that one, or name another folder."
                ) from None
        try:
            self._db = Database(folder / _DATABASE)
        except BaseException:
            self._owned.release()
            raise
        self._rows = JobRepository(self._db)
        self._folders = JobStorage(folder)
        self._adding: set[str] = set()

    def add(self, owner: Owner, options: Mapping[str, Any], files: Sequence[NewFile], expires_in_s: float) -> Job:
        """Take in a job of one file or more, and keep it for `expires_in_s` seconds from when it is finished.

        options: what JSON can hold. The files are moved in; where this fails, those that were moved are gone.
        """
        if not files:
            raise UsageError("a job needs at least one file")
        id = new_id()
        self._adding.add(id)
        try:
            sizes = self._folders.create_with_uploads(id, files)
            self._rows.insert(NewJob(id, owner, options, expires_in_s), files, sizes)
        except BaseException:
            self._folders.remove(id)
            raise
        finally:
            self._adding.discard(id)
        job = self._rows.job(id)
        assert job is not None
        return job

    def get(self, id: str) -> Job | None:
        """A job as it is now; None for one that is unknown or has expired."""
        return self._rows.job(id) if is_id(id) else None

    def files(self, id: str, first: int = 0, count: int | None = None) -> list[JobFile]:
        """Files of a job in order, `count` of them from number `first` on; none of an unknown job."""
        return self._rows.files(id, first, -1 if count is None else count) if is_id(id) else []

    def claim_next(self) -> JobLease | None:
        """The next file to work on, which is running from now on; None if nothing waits.

        Owners take turns; of each, the oldest job with a file that waits, and its files in order.
        """
        if (claimed := self._rows.claim()) is None:
            return None
        job, file = claimed
        path, answers = self._folders.upload(job.id, file.number), self._folders.answers(job.id, file.number)
        return JobLease(job.id, job.owner, job.options, file, path, answers)

    def done(self, id: str, number: int, record: str | Iterable[str], embeddings: Sequence[Path] = ()) -> bool:
        """A running file has its result; its audio is deleted. False if nobody wants it, as the job was cancelled.

        record: one line of JSON, or one for each channel, as text or in pieces of any size, which are written as they
        come. embeddings: `.npz` files to move in, one, or one for each channel. Where this fails the file is still
        running, and the embeddings are gone: hand it back.
        """
        return self._finish(id, number, "done", [record] if isinstance(record, str) else record, embeddings)

    def failed(self, id: str, number: int, record: str | Iterable[str]) -> bool:
        """A running file cannot be answered; its record carries the error. Otherwise as `done`."""
        return self._finish(id, number, "failed", [record] if isinstance(record, str) else record, ())

    def _finish(self, id: str, number: int, state: State, record: Iterable[str], embeddings: Sequence[Path]) -> bool:
        if not self._is_running(id, number):
            return False
        try:
            size_bytes = self._folders.keep(id, number, record, embeddings)
        except OvertoneError:
            if self._is_running(id, number):
                raise
            return False  # cancelled: its folder was taken away under the record
        try:
            wanted = self._rows.finish(id, number, state, len(embeddings), size_bytes)
        except BaseException:
            self._folders.drop(id, number, len(embeddings))
            raise
        if wanted:
            self._folders.free_upload(id, number)
        else:  # cancelled while the record was being written
            self._folders.remove(id)
        return wanted

    def release_lease(self, id: str, number: int, *, begun: bool = False) -> None:
        """A running file waits again, as if it had not been begun: for a service that is being stopped.

        begun: this time counts, as what ended it may have been the file.
        """
        if is_id(id):
            self._rows.release_lease(id, number, begun=begun)

    def requeue_running(self) -> int:
        """What was running when the last process died waits again. How many files. Their `attempts` stay, so that a
        file that takes the process down each time can be told."""
        return self._rows.requeue()

    def cancel(self, id: str) -> bool:
        """Nobody wants a job any more, finished or not: its uploads and results are deleted now. It is known until it
        expires. False for an unknown one."""
        if not is_id(id):
            return False
        try:
            known = self._rows.cancel(id)
        except RefusedError:  # the disk is full, and this is what makes room on it
            self._folders.remove(id)
            known = self._rows.cancel(id)
        if known:
            self._folders.remove(id)
        return known

    def expire(self, now_s: float) -> int:
        """Remove the finished and cancelled jobs whose time is over at `now_s`, unix seconds. How many."""
        removed = 0
        while ids := self._rows.expired(now_s, _EXPIRED_AT_ONCE):
            # Here the files go first: on a full disk that makes room for the change, and half of it is done again.
            for id in ids:
                self._folders.remove(id)
            self._rows.delete(ids)
            removed += len(ids)
        return removed

    def sweep(self) -> int:
        """Delete what a kill has left: folders that no row knows, audio of files that are done. How many folders."""
        removed = 0
        for id in self._folders.job_ids():
            if id in self._adding:  # asked before the rows, which know it as soon as it is not
                continue
            job = self._rows.job(id)
            if job is None or job.state == "cancelled":
                self._folders.remove(id)
                removed += 1
            else:
                self._folders.remove_uploads_except(id, self._rows.numbers(id, "queued", "running"))
        return removed

    def results(self, id: str) -> Generator[bytes, None, None]:
        """The records of the files that are done or failed so far, in order, in pieces; joined, they are lines of JSON.

        RefusedError (unknown) if the job is cancelled or expires before the last piece.
        """
        for number in self._rows.numbers(id, "done", "failed") if is_id(id) else ():
            try:
                file = open(self._folders.record(id, number), "rb")  # noqa: SIM115 - closed below
            except FileNotFoundError:
                raise RefusedError(f"job {id} was removed while it was being read", code=Code.UNKNOWN) from None
            yield from iter_chunks(file)

    def record(self, id: str, number: int) -> Path | None:
        """The record of one file; None if there is none, or not yet."""
        return None if self._finished(id, number) is None else self._folders.record(id, number)

    def embedding(self, id: str, number: int, part: int = 0) -> Path | None:
        """The `.npz` of one file, or of its channel number `part`; None if there is none, or not yet."""
        file = self._finished(id, number)
        return self._folders.embedding(id, number, part) if file and 0 <= part < file.embeddings else None

    def counts(self) -> Mapping[str, int]:
        """How many jobs are in each state, all states named."""
        return self._rows.counts()

    def waiting(self) -> QueueLoad:
        """The work of all owners that is not finished."""
        return self._rows.load()

    def waiting_of(self, owner: Owner) -> QueueLoad:
        """The work of one owner that is not finished."""
        return self._rows.load_of(owner)

    def seconds(self, id: str) -> tuple[float, float]:
        """Claimed seconds of the files of a job that are finished, and of all of them."""
        return self._rows.seconds(id)

    def held_bytes(self) -> int:
        """Bytes of uploads, records and embeddings on disk; without `KeptAnswers` of what is not finished."""
        return self._rows.held_bytes()

    def _is_running(self, id: str, number: int) -> bool:
        file = self._rows.file(id, number) if is_id(id) else None
        return file is not None and file.state == "running"

    def _finished(self, id: str, number: int) -> JobFile | None:
        file = self._rows.file(id, number) if is_id(id) else None
        return file if file and file.state in ("done", "failed") else None

    def close(self) -> None:
        """Let go of the folder. Closing again does nothing."""
        self._db.close()
        self._owned.release()

    def __enter__(self) -> JobStore:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
