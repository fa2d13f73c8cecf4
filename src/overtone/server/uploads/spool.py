"""Spool of uploads: the folder that they are in, and the account of their bytes."""

from __future__ import annotations

import logging
import os
import secrets
import threading
from pathlib import Path

from overtone.errors import Code, RefusedError
from overtone.server.uploads.limits import UploadLimits
from overtone.server.uploads.private_folder import FILE_PREFIX, TempFolder
from overtone.system.memory import MIB, format_size
from overtone.system.temporary_files import storage_problem

MOST_WAITING_BYTES = 32 * MIB
"""Bytes of all uploads together that may wait in memory to be written. Beyond it every piece is written as it comes."""

RETRY_AFTER_S = 30.0
"""Seconds after which a client that found no room may ask again: about when some of the work in hand will be done."""

_LOG = logging.getLogger("overtone")


class Spool:
    """A folder for uploads and the account of the bytes in it. Thread-safe.

    `folder`: where to make it; None puts it among the temporary files. It is swept of files that killed processes left
    there. UsageError where the folder cannot be used.
    """

    def __init__(self, folder: Path | None, limits: UploadLimits) -> None:
        self.limits = limits
        self._folder = TempFolder(folder)
        self._held: dict[Path, int] = {}
        self._held_bytes = 0
        self._waiting_bytes = 0
        self._closed = False
        self._lock = threading.Lock()

    def __enter__(self) -> Spool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def path(self) -> Path:
        """The folder that holds only this spool's files."""
        return self._folder.path

    @property
    def held_bytes(self) -> int:
        """Bytes of all uploads that are on disk, those under way included."""
        return self._held_bytes

    @property
    def write_buffer_full(self) -> bool:
        """True if as much as may waits in memory to be written."""
        return self._waiting_bytes >= MOST_WAITING_BYTES

    def waits(self, size_bytes: int) -> None:
        """Count bytes that wait in memory to be written; below 0, that wait no more."""
        with self._lock:
            self._waiting_bytes += size_bytes

    def new_path(self) -> Path:
        """Path for a new file. Nothing of it comes from a client, and nothing is there yet."""
        return self.path / (FILE_PREFIX + secrets.token_hex(16))

    def check_room(self, size_bytes: int) -> None:
        """Raise RefusedError (no_space) where so much would not fit now.

        Nothing is set aside: a client that announces much and sends little would keep all others out.
        """
        with self._lock:
            self._check_room(size_bytes)

    def charge(self, path: Path, size_bytes: int) -> None:
        """Count bytes that a file is about to get. RefusedError (no_space) where they are too many."""
        with self._lock:
            self._check_room(size_bytes)
            self._held[path] = self._held.get(path, 0) + size_bytes
            self._held_bytes += size_bytes

    def _check_room(self, size_bytes: int) -> None:
        if self._held_bytes + size_bytes > self.limits.total_bytes:
            raise RefusedError(
                f"all uploads together may take {format_size(self.limits.total_bytes)}, and others take "
                f"{format_size(self._held_bytes)} now; send this one again later.",
                code=Code.NO_SPACE,
                retry_after_s=RETRY_AFTER_S,
            )

    def open(self, path: Path) -> int:
        """A descriptor of a new file (0600), in a folder that is made again where it is gone.

        RefusedError (not_ready) once this is closed. OSError.
        """
        with self._lock:
            if self._closed:
                raise RefusedError("the service is ending and takes no uploads any more.", code=Code.NOT_READY)
            try:
                return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            except FileNotFoundError:
                self._restore()
                return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)

    def restore(self) -> None:
        """Make the folder again where somebody has removed it. OSError."""
        with self._lock:
            if not self._closed:
                self._restore()

    def _restore(self) -> None:
        if not self.path.is_dir():
            _LOG.warning("the folder of uploads was gone and is made again: %s", self.path)
            self._folder.restore()

    def problem(self) -> str | None:
        """The reason why no upload can be kept now, as `storage_problem` says it; None where one can."""
        try:
            self.restore()
        except OSError as error:
            return f"cannot be made again ({error.strerror or error})"
        return storage_problem(self.path)

    def remove(self, path: Path) -> None:
        """Remove a file and give its bytes back; a file that cannot be removed still counts. Again does nothing."""
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            _LOG.warning("an upload stays on disk: %s", error)
            return
        with self._lock:
            self._held_bytes -= self._held.pop(path, 0)

    def close(self) -> None:
        """Remove the folder with everything in it. Again does nothing."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._held.clear()
            self._held_bytes = 0
        self._folder.remove()
