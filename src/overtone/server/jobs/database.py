"""The SQLite database of all jobs: opened, checked, and changed by one thread at a time.

What a finished change promises. A process that is killed loses nothing. A machine that loses power loses nothing
either, as far as its disk keeps what was synced to it: the log is synced with every change (WAL, synchronous=FULL),
and the files that a row speaks of are synced before the row is written. So a client may delete its own copy once a job
is taken in. The price is a few syncs for each file of a job, of some milliseconds each.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from overtone.errors import Code, UsageError
from overtone.server.jobs.durable_files import disk_full_error
from overtone.server.jobs.schema import FROM_1, INDEXES, SCHEMA, TABLES
from overtone.system.files import private_opener, sync_folder


class Database:
    """One connection and its lock: SQLite lets one write at a time anyway, and every question here is a short one.

    on_new: called before tables are made where there are none, as of a file that was missing or is empty.

    Raises UsageError for a file that cannot be opened, is broken, of a newer schema, or something else altogether.
    """

    def __init__(self, path: Path, on_new: Callable[[], None] = lambda: None) -> None:
        self._path, self._on_new = path, on_new
        self._lock = threading.RLock()
        with self._speaking():
            # Made here, as SQLite would let others read it; its log takes over the permissions.
            with open(path, "ab", opener=private_opener):
                path.chmod(0o600)
            self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        try:
            self._prepare()
        except BaseException:
            self._connection.close()
            raise

    def _prepare(self) -> None:
        self._connection.row_factory = sqlite3.Row
        with self._speaking():
            for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
                self._connection.execute(f"PRAGMA {pragma}").close()
            if (found := self.query("PRAGMA quick_check(1)")[0][0]) != "ok":
                raise sqlite3.DatabaseError(" ".join(found.split()))
        with self.execute() as connection:
            (version,) = self.query("PRAGMA user_version")[0]
            if version > SCHEMA:
                raise UsageError(
                    f"{self._path} was written by a newer Overtone (schema {version}, this one knows {SCHEMA}); "
                    "use that one, or name another folder for jobs."
                )
            if version == 0 and self.query("SELECT 1 FROM sqlite_master"):
                raise UsageError(f"{self._path} is no database of jobs; name another folder for jobs.")
            if version == 0:
                self._on_new()  # killed on the way, it is called again
            if version < SCHEMA:
                for statement in FROM_1 if version else (*TABLES, *INDEXES):
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {SCHEMA}")
        with self._speaking():
            sync_folder(self._path.parent)

    def query(self, question: str, *values: Any) -> list[sqlite3.Row]:
        """All rows that answer a query."""
        with self._lock, self._speaking():
            return self._connection.execute(question, values).fetchall()

    @contextmanager
    def execute(self) -> Iterator[sqlite3.Connection]:
        """A transaction: everything that the block does with the connection is on the disk on return, or nothing of it.

        RefusedError (no_space) where the disk is full.
        """
        with self._lock, self._speaking():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:  # SQLite itself takes some back
                    self._connection.execute("ROLLBACK")
                raise

    @contextmanager
    def _speaking(self) -> Iterator[None]:
        """Errors of SQLite and of the system, raised again in words for the user."""
        try:
            yield
        except OSError as error:
            raise self._unusable(error) from error
        except (sqlite3.IntegrityError, sqlite3.ProgrammingError):
            raise  # a mistake of this program
        except sqlite3.OperationalError as error:
            if "is full" in str(error):
                raise disk_full_error() from error
            raise self._unusable(error) from error
        except sqlite3.DatabaseError as error:
            raise UsageError(
                f"{self._path} is broken ({error}). Put a copy in its place, or move it away to begin without any "
                "jobs: what lies in their folders is then set aside in this folder, and not deleted.",
                code=Code.BROKEN_STORE,
            ) from error

    def _unusable(self, error: Exception) -> UsageError:
        return UsageError(
            f"{self._path} cannot be used ({error}). Look after its disk and its permissions, or name another folder "
            "for jobs.",
            code=Code.UNWRITABLE,
        )

    def close(self) -> None:
        """Close the connection. Closing again does nothing."""
        with self._lock:
            self._connection.close()
