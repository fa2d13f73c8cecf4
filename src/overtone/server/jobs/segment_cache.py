"""Answers of the models for the segments of one file, so that a long file goes on where a killed run stopped; and which
of them were under way when it was, so that a file that ends the process each time is found out.

A small SQLite database for each file, which goes with the file's audio. A segment's row is there before the model is
asked, and has the answer (`segment_codec.py`) once it is known. Ten hours in segments of 5 s are 7,200 answers of each
model that is asked: 50 MB of emotions at 768 dimensions, 6 MB of words. An answer depends on the samples alone, and on
what was asked of them, so their hash (BLAKE2b) is all that a row needs to be found by, however the file is cut the next
time.

Each row is its own transaction, and none is synced (WAL, synchronous=NORMAL): what was written when the process is
killed is the system's to keep, and after a loss of power the last rows are missing; those are computed again. This
takes 70 µs for each segment (two cores, a cloud disk), where a model takes milliseconds at least.
"""

from __future__ import annotations

import hashlib
import logging
import sqlite3
import threading
import zlib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from overtone.server.jobs.segment_codec import decode, encode
from overtone.system.files import private_opener
from overtone.types import EmotionOutput, ModelOutput, Samples

_VERSION = 3
"""Of the table. Of 1 and 2 there were logs of records, which are no database and so are dropped."""

_DIGEST_BYTES = 16

_MOST_BYTES = 16 << 20
"""Bytes of one answer, at most."""

_SIDE_FILES = ("", "-wal", "-shm", "-journal")
"""Endings of SQLite's files: the database itself, its log and the index of that."""

_BEFORE_ANY = b""
"""Key of the row for what comes before the first segment: decoding begins, and the audio is cut."""

_TABLES = (
    "CREATE TABLE model (fingerprint BLOB NOT NULL)",
    # begun: the last start that asked for it. proven: the first that got it.
    "CREATE TABLE segments (digest BLOB PRIMARY KEY, begun INTEGER NOT NULL, proven INTEGER, answer BLOB, crc INTEGER)",
)

_BEGIN = "INSERT INTO segments (digest, begun) VALUES (?1, ?2) ON CONFLICT (digest) DO UPDATE SET begun = ?2"

_PROVE = (
    "INSERT INTO segments VALUES (?1, ?2, ?2, ?3, ?4)"
    " ON CONFLICT (digest) DO UPDATE SET proven = ?2, answer = ?3, crc = ?4 WHERE proven IS NULL"
)

_UNREADABLE = (ValueError, LookupError, TypeError, EOFError, OSError)
"""Errors of `decode` for bytes that `encode` did not make."""

_MEND = "UPDATE segments SET answer = ?2, crc = ?3 WHERE digest = ?1"

_LOG = logging.getLogger("overtone")


def digest_of(cache_key: str, samples: Samples) -> bytes:
    """The key of an answer: a hash of what was asked, and of the samples, float32 (samples,)."""
    digest = hashlib.blake2b(cache_key.encode() + b"\0", digest_size=_DIGEST_BYTES)
    digest.update(np.ascontiguousarray(samples, "<f4").data)
    return digest.digest()


def remove_answers(path: Path) -> None:
    """Delete the answers at a path, if there are any. OSError."""
    for ending in _SIDE_FILES:
        path.with_name(path.name + ending).unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class Evidence:
    """State in which a start left a file. `progress`: something of it came out that never had before. `begun`: it was
    being opened, or more. `in_batch`: a model had segments of it that never have come out."""

    progress: bool = False
    begun: bool = False
    in_batch: bool = False


_FOUND = (
    "proven = ? AND digest <> x''",
    "begun = ? AND proven IS NULL",
    "begun = ? AND proven IS NULL AND digest <> x''",
)
"""Rows that show what the fields of `Evidence` say, in their order."""


def evidence(path: Path, start: int) -> Evidence:
    """The state in which start number `start` left a file, by the answers at `path`; as new if they cannot be read."""
    if not path.exists():
        return Evidence()
    with suppress(OSError, sqlite3.Error):
        connection = sqlite3.connect(path, isolation_level=None)
        try:
            found = [
                bool(connection.execute(f"SELECT EXISTS (SELECT 1 FROM segments WHERE {what})", (start,)).fetchone()[0])
                for what in _FOUND
            ]
        finally:
            connection.close()
        return Evidence(*found)
    return Evidence()


class SegmentCheckpoint:
    """The answers kept in the database at `path`, which is made if it is missing. Thread-safe; one at a time for a
    file.

    fingerprint: text that is another for every model, precision and whatever else changes an answer. What the file
    holds of another fingerprint is dropped, and so is a file that is broken or something else. start: the number of
    this start of the file, from 1; see `evidence`.

    Whoever wants frames must compute them: an answer with frames is not kept, and a recalled one has none. That there
    was one is written down all the same.

    Where the disk is full, or the file cannot be used, this is logged once, and nothing more is kept or recalled: an
    answer is no worse for not being kept.
    """

    def __init__(self, path: Path, *, fingerprint: str, start: int = 1) -> None:
        self._path, self._start = path, start
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._any = False
        self.progressed = False
        """True once something came out in this start that never had before."""
        self._mark = hashlib.blake2b(fingerprint.encode(), digest_size=_DIGEST_BYTES).digest()
        try:
            self._connection = _opened(path, self._mark) or _made(path, self._mark)
        except (OSError, sqlite3.Error) as error:
            self._give_up(error)
        self._run(_BEGIN, _BEFORE_ANY, start)

    def _run(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """The rows that a statement finds or, with RETURNING, changes; none where the database cannot be used."""
        with self._lock:
            if self._connection is None:
                return []
            try:
                return self._connection.execute(statement, values).fetchall()
            except sqlite3.DatabaseError as error:
                if isinstance(error, sqlite3.OperationalError):
                    self._give_up(error)
                else:
                    self._begin_anew(error)
                return []

    def _prove(self, digest: bytes, answer: bytes | None = None) -> None:
        crc = None if answer is None else zlib.crc32(digest + answer)
        with self._lock:
            if self._connection is None:
                return
            before = self._connection.total_changes
            self._run(_PROVE, digest, self._start, answer, crc)
            if self._connection is None:
                return
            if self._connection.total_changes > before:
                self.progressed = self.progressed or digest != _BEFORE_ANY
            elif answer is not None and self.recall(digest) is None:  # its row was damaged
                self._run(_MEND, digest, answer, crc)

    def _give_up(self, error: Exception) -> None:
        _LOG.warning("%s: answers are not kept any more (%s)", self._path, error)
        self._let_go()

    def _begin_anew(self, error: Exception) -> None:
        _LOG.warning("%s: answers that were kept are lost (%s)", self._path, error)
        self._let_go()
        try:
            self._connection = _made(self._path, self._mark)
        except (OSError, sqlite3.Error) as why:
            self._give_up(why)

    def _let_go(self) -> None:
        if self._connection is not None:
            with suppress(sqlite3.Error):
                self._connection.close()
            self._connection = None

    def __len__(self) -> int:
        rows = self._run("SELECT COUNT(*) FROM segments WHERE answer IS NOT NULL")
        return int(rows[0][0]) if rows else 0

    def recall(self, digest: bytes) -> ModelOutput | None:
        """The answer known by `digest`, without frames; None if it is not known or damaged, or after `close`."""
        rows = self._run("SELECT answer, crc FROM segments WHERE digest = ? AND answer IS NOT NULL", digest)
        if not rows:
            return None
        answer, crc = rows[0]
        if not isinstance(answer, bytes) or zlib.crc32(digest + answer) != crc:
            return None  # a disk that changes a bit is worth a run, and never a wrong answer
        with suppress(*_UNREADABLE):
            return decode(answer)
        return None

    def begin(self, digest: bytes) -> None:
        """Write down that the model is about to be asked for this segment."""
        if not self._any:
            self._any = True
            self._prove(_BEFORE_ANY)
        self._run(_BEGIN, digest, self._start)

    def keep(self, digest: bytes, answer: ModelOutput) -> None:
        """Remember an answer, except with frames. After `close` this does nothing."""
        packed = None
        if not (isinstance(answer, EmotionOutput) and answer.frames is not None):
            packed = encode(answer)
            packed = packed if len(packed) <= _MOST_BYTES else None
        self._prove(digest, packed)

    def close(self) -> None:
        """Recall and keep no more; the file stays. Closing again does nothing."""
        with self._lock:
            self._let_go()

    def remove(self) -> None:
        """Close, and delete the file."""
        self.close()
        remove_answers(self._path)

    def __enter__(self) -> SegmentCheckpoint:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _opened(path: Path, mark: bytes) -> sqlite3.Connection | None:
    """The database at a path; None if there is none that is whole, of this version and with that mark."""
    if not path.exists():
        return None
    connection = _connected(path)
    try:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version == _VERSION and connection.execute("SELECT fingerprint FROM model").fetchall() == [(mark,)]:
            connection.execute("PRAGMA synchronous = NORMAL")
            if connection.execute("PRAGMA quick_check(1)").fetchone() == ("ok",):
                return connection
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError) and "no such table" not in str(error):
            connection.close()
            raise  # the disk's fault, and not the file's
    connection.close()
    return None


def _made(path: Path, mark: bytes) -> sqlite3.Connection:
    """A new database at a path, in place of any other file."""
    remove_answers(path)
    with open(path, "xb", opener=private_opener):
        pass
    connection = _connected(path)
    try:
        # What is half made when power is lost is no database, and begun anew.
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("PRAGMA journal_mode = WAL").fetchall()
        with connection:
            connection.execute("BEGIN")
            for statement in _TABLES:
                connection.execute(statement)
            connection.execute("INSERT INTO model VALUES (?)", (mark,))
            connection.execute(f"PRAGMA user_version = {_VERSION}")
        connection.execute("PRAGMA synchronous = NORMAL")
    except BaseException:
        connection.close()
        raise
    return connection


def _connected(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, isolation_level=None, check_same_thread=False)
