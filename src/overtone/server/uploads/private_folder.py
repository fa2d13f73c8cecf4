"""A private folder for files that live as long as a process, and the sweeping of those that killed processes left."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

from filelock import FileLock

from overtone.errors import Code, UsageError

PREFIX = "overtone-uploads-"
FILE_PREFIX = "upload-"

_IN_USE = "in-use.lock"
_GATE = ".overtone-uploads.lock"


class TempFolder:
    """A folder that only this user can enter (0700): inside `parent`, or among the temporary files where it is None.

    A lock inside says that its process lives; the system lets go of it however the process ends. So the next to make
    one in the same parent knows which are no longer needed, and removes them: folders with such a lock, and in them
    only files named as uploads are. UsageError where the parent cannot be used.
    """

    def __init__(self, parent: Path | None) -> None:
        self._lock: FileLock | None = None
        self._parent = parent
        where = Path(tempfile.gettempdir()) if parent is None else parent
        try:
            if parent is None:
                self.path = Path(tempfile.mkdtemp(prefix=PREFIX))
                return
            parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            # One at a time, or a folder could be swept between being made and being locked.
            with _lock(parent / _GATE):
                _sweep(parent)
                self.path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent.resolve()))
                self._hold()
        except OSError as error:
            reason = error.strerror or str(error)
            raise UsageError(
                f"{where}: uploads cannot be kept there: {reason}. Name a folder that can be written.",
                code=Code.UNWRITABLE,
            ) from error

    def restore(self) -> None:
        """Make it again, as private as it was, where somebody has removed it. OSError where it cannot be made."""
        if self.path.is_dir():
            return
        if self._parent is None:
            self.path.mkdir(mode=0o700, exist_ok=True)
            return
        self._parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _lock(self._parent / _GATE):
            if self.path.is_dir():  # another thread was faster
                return
            self.path.mkdir(mode=0o700, parents=True)
            if self._lock is not None:  # of a file that is gone
                self._lock.release()
            self._hold()

    def _hold(self) -> None:
        self._lock = _lock(self.path / _IN_USE)
        self._lock.acquire(timeout=0)

    def remove(self) -> None:
        """Remove it and all that is in it."""
        shutil.rmtree(self.path, ignore_errors=True)
        if self._lock is not None:
            self._lock.release()


def _lock(path: Path) -> FileLock:
    # It may be let go of by another thread than the one that took it.
    return FileLock(path, mode=0o600, thread_local=False)


def _sweep(parent: Path) -> None:
    for left in parent.glob(PREFIX + "*"):
        # One that belongs to another user, or that a living process has locked, stays.
        with suppress(OSError):
            if left.is_symlink() or not (left / _IN_USE).is_file():
                continue
            with _lock(left / _IN_USE).acquire(timeout=0):
                for file in left.glob(FILE_PREFIX + "*"):
                    shutil.rmtree(file) if file.is_dir() and not file.is_symlink() else file.unlink()
                if os.listdir(left) == [_IN_USE]:
                    shutil.rmtree(left)
