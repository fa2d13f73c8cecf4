"""A file that a client sends: while it grows on disk, and when it is whole."""

from __future__ import annotations

import hashlib
import logging
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from overtone.errors import Code, InputError, RefusedError
from overtone.server.uploads.spool import RETRY_AFTER_S, Spool
from overtone.system.temporary_files import FULL, REFUSING, storage_remedy

_LOG = logging.getLogger("overtone")


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that a client sent, whole and on disk.

    - `name`: the client's name for it, made harmless.
    - `digest`: SHA-256 of the content, in hexadecimal.
    """

    path: Path
    name: str
    size_bytes: int
    digest: str
    _remove: Callable[[Path], None] = field(repr=False, compare=False)

    def remove(self) -> None:
        """Remove the file and give its bytes back. Again does nothing. Blocks for as long as the disk needs."""
        self._remove(self.path)


class SpoolFile:
    """One file on its way to disk, called `name` by the client.

    `add` and `ended` are for the event loop; all other methods block, and belong in a thread. A request that is
    cancelled discards its files while a thread may still be writing one, hence the lock.
    """

    def __init__(self, spool: Spool, name: str) -> None:
        self.name = name
        self.ended = False
        """True once all of it has been added."""
        self._spool = spool
        self._path = spool.new_path()
        self._descriptor: int | None = None
        self._pending = bytearray()
        self._size_bytes = 0
        self._hash = hashlib.sha256()
        self._discarded = False
        self._lock = threading.Lock()

    @property
    def pending_bytes(self) -> int:
        """Bytes that wait in memory to be written."""
        return len(self._pending)

    def add(self, data: bytes) -> None:
        """Keep bytes in memory, to be written by the next `flush`."""
        self._pending += data
        self._spool.waits(len(data))

    def flush(self) -> None:
        """Write the waiting bytes. RefusedError (no_space) where there is no room for them."""
        with self._lock:
            self._write()

    def _write(self) -> None:
        data, self._pending = self._pending, bytearray()
        self._spool.waits(-len(data))
        if self._discarded or not data:
            return
        self._spool.charge(self._path, len(data))
        with self._room():
            if self._descriptor is None:
                self._descriptor = self._spool.open(self._path)
            write_all(self._descriptor, data)
        self._hash.update(data)
        self._size_bytes += len(data)

    def finish(self) -> Upload:
        """Write the rest and close. InputError (empty) where nothing was ever added."""
        with self._lock:
            self._write()
            self._close()
            if not self._size_bytes:
                raise InputError(f"{self.name}: the file is empty.", code=Code.EMPTY)
            return Upload(self._path, self.name, self._size_bytes, self._hash.hexdigest(), self._spool.remove)

    def discard(self) -> None:
        """Leave nothing of it, finished or not."""
        with self._lock:
            self._discarded = True
            self._write()  # nothing, now
            with suppress(OSError, RefusedError):
                self._close()
            self._spool.remove(self._path)

    def _close(self) -> None:
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            with self._room():  # where the disk is remote, a full one may be told of only now
                os.close(descriptor)

    @contextmanager
    def _room(self) -> Iterator[None]:
        """Turn the errors of a folder that takes no files into a RefusedError, and log the folder and the remedy, which
        are not the client's to know. Any other fault of the disk is one of the service."""
        try:
            yield
        except OSError as error:
            if error.errno not in REFUSING:
                raise
            reason = os.strerror(error.errno)
            _LOG.error(
                "uploads cannot be written in %s: %s. %s, or name another folder for `uploads`.",
                self._path.parent,
                reason,
                storage_remedy(error),
            )
            full = error.errno in FULL
            raise RefusedError(
                f"the service {'has no room for' if full else 'cannot write'} uploads now: {reason}; send it again "
                "later.",
                code=Code.NO_SPACE if full else Code.NOT_READY,
                retry_after_s=RETRY_AFTER_S,
            ) from error


def write_all(descriptor: int, data: bytes | bytearray) -> None:
    """Write all of `data`; a system may take part of it at a time."""
    left = memoryview(data)
    while left:
        left = left[os.write(descriptor, left) :]
