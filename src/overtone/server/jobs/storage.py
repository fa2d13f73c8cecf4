"""Files of jobs on disk: a folder for each job, in it a few files for each that was uploaded.

    <job id>/0000.upload     the audio, until its result is there; of a file that was given up, until the job expires
    <job id>/0000.answers    the models' answers for its segments so far, as long as the audio (SQLite, and its log)
    <job id>/0000.json       its record: a line of JSON, or one for each channel
    <job id>/0000.0.npz      embeddings, of each channel
    set-aside-<date>/        folders of jobs that were there before their database was

Records are always files, also small ones: frames of hours are gigabytes, space is free the moment a file is deleted (a
database keeps it), and records are served as they were written, in pieces.
"""

from __future__ import annotations

import itertools
import os
import re
import secrets
import shutil
from collections.abc import Generator, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from overtone.errors import UsageError
from overtone.server.jobs.durable_files import make_private, map_disk_errors, move
from overtone.server.jobs.segment_cache import remove_answers
from overtone.server.jobs.values import NewFile
from overtone.system.files import iter_chunks, private_opener, sync_folder

_LOCK = "jobs.lock"
_ID = re.compile("[0-9a-f]{32}")
_SPENT = re.compile(r"([0-9]{4,})\.(?:upload|answers(?:-wal|-shm)?)")
_ASIDE = "set-aside"


def new_id() -> str:
    """A new id, not to be guessed: 128 bits. Only digits and small letters, as some file systems know no capitals."""
    return secrets.token_hex(16)


def is_id(text: str) -> bool:
    """True for a text that could be the id of a job. No other becomes part of a path."""
    return _ID.fullmatch(text) is not None


def own_folder(folder: Path, mark: str) -> FileLock:
    """The lock of a folder for jobs, held, so that no other process takes the folder; it is made if it is missing.

    mark: the name of a file that tells a folder of jobs from any other. UsageError for a folder that another process
    owns, that cannot be written, or that holds other files and that others can look into.
    """
    with map_disk_errors(folder):
        make_private(folder, mark)
        # Not tied to this thread: another may close it.
        lock = FileLock(folder / _LOCK, mode=0o600, thread_local=False)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise UsageError(
                f"{folder}: another process keeps its jobs there; stop that one, or name another folder."
            ) from None
    return lock


@dataclass(frozen=True, slots=True)
class JobStorage:
    """The folders of all jobs, in `root`. Ids and numbers are trusted here."""

    root: Path

    def upload(self, id: str, number: int) -> Path:
        """Path of the audio of a file."""
        return self.root / id / f"{number:04d}.upload"

    def answers(self, id: str, number: int) -> Path:
        """Path of its `SegmentCheckpoint`."""
        return self.root / id / f"{number:04d}.answers"

    def record(self, id: str, number: int) -> Path:
        """Path of its record."""
        return self.root / id / f"{number:04d}.json"

    def read_record(self, id: str, number: int) -> Generator[bytes, None, None]:
        """The bytes of a record in pieces. FileNotFoundError before the first if it is not there."""
        yield from iter_chunks(open(self.record(id, number), "rb"))  # noqa: SIM115 - closed there

    def embedding(self, id: str, number: int, part: int) -> Path:
        """Path of its embedding, or of that of one channel."""
        return self.root / id / f"{number:04d}.{part}.npz"

    def create_with_uploads(self, id: str, files: Iterable[NewFile]) -> list[int]:
        """Make a job's folder and move uploads into it; all on the disk on return. The size in bytes of each."""
        folder = self.root / id
        with map_disk_errors(folder):
            folder.mkdir(mode=0o700)
            sizes = [move(file.path, self.upload(id, number)) for number, file in enumerate(files)]
            sync_folder(folder)
            sync_folder(self.root)
        return sizes

    def keep(self, id: str, number: int, record: Iterable[str], embeddings: Sequence[Path]) -> int:
        """Write a record, piece by piece, and move embeddings in; all on the disk on return, or none. Their bytes."""
        path = self.record(id, number)
        try:
            with map_disk_errors(path):
                size_bytes = _write(path, record)
                for part, embedding in enumerate(embeddings):
                    size_bytes += move(embedding, self.embedding(id, number, part))
                sync_folder(path.parent)
        except BaseException:
            self.drop(id, number, len(embeddings))
            raise
        return size_bytes

    def drop(self, id: str, number: int, embeddings: int) -> None:
        """Delete a result, or the part of one that is there."""
        for path in (self.record(id, number), *(self.embedding(id, number, part) for part in range(embeddings))):
            with suppress(OSError):
                path.unlink()

    def free_upload(self, id: str, number: int) -> None:
        """Delete audio and answers of a finished file. What cannot be deleted now is left to the next sweep."""
        with suppress(OSError):
            self.upload(id, number).unlink()
        with suppress(OSError):
            remove_answers(self.answers(id, number))

    def remove_uploads_except(self, id: str, unfinished: Iterable[int]) -> None:
        """Delete audio and answers of all files but the unfinished ones."""
        kept = set(unfinished)
        with suppress(OSError):
            for path in (self.root / id).iterdir():
                match = _SPENT.fullmatch(path.name)
                if match and int(match[1]) not in kept:
                    path.unlink()

    def remove(self, id: str) -> None:
        """Delete a job's folder, if it is there. What cannot be deleted now is left to the next sweep."""
        shutil.rmtree(self.root / id, ignore_errors=True)

    def set_aside(self, now: datetime) -> Path | None:
        """Move the folders of all jobs into a new folder that is named by the date, and is never swept; None if there
        are none. Raises as `map_disk_errors`."""
        if not (ids := self.job_ids()):
            return None
        with map_disk_errors(self.root):
            name = f"{_ASIDE}-{now:%Y%m%d-%H%M%S}"
            count = itertools.count(2)
            aside = self.root / name
            while aside.exists():
                aside = self.root / f"{name}-{next(count)}"
            aside.mkdir(mode=0o700)
            for id in ids:
                (self.root / id).rename(aside / id)
            sync_folder(aside)
            sync_folder(self.root)
        return aside

    def job_ids(self) -> list[str]:
        """The ids that have a folder."""
        with os.scandir(self.root) as entries:
            return [entry.name for entry in entries if is_id(entry.name) and entry.is_dir(follow_symlinks=False)]


def _write(path: Path, record: Iterable[str]) -> int:
    with open(path, "wb", opener=private_opener) as file:
        last = ""
        for piece in record:
            file.write(piece.encode("utf-8", "backslashreplace"))
            last = piece or last
        if not last.endswith("\n"):
            file.write(b"\n")
        file.flush()
        os.fsync(file.fileno())
        return file.tell()
