"""Files that only the service may read, and that are on the disk when the call that wrote them returns."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from overtone.errors import Code, RefusedError, UsageError
from overtone.system.files import private_opener, sync_folder
from overtone.system.temporary_files import FULL

STORAGE = frozenset({Code.NO_SPACE, Code.UNWRITABLE})
"""Codes of errors of a disk, which say nothing of the file that met them."""

_OTHERS = 0o077
"""Permissions of anyone but the owner."""


def disk_full_error() -> RefusedError:
    """The error to raise when the disk is full. It goes to clients, so it names no place."""
    return RefusedError(
        "The disk of this service is full. Delete jobs that are done with, or try again later.", code=Code.NO_SPACE
    )


@contextmanager
def map_disk_errors(path: Path) -> Iterator[None]:
    """Turn a system error inside the block into a RefusedError (no_space) or a UsageError (unwritable)."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise disk_full_error() from error
        reason = error.strerror or str(error)
        raise UsageError(f"cannot write {path}: {reason}. Allow writing there.", code=Code.UNWRITABLE) from error


def make_private(folder: Path, mark: str) -> None:
    """Make a folder for the service alone, or take one that is there: empty, or known by holding a file called `mark`.

    UsageError for one that others can look into and that holds something else: it is not ours to close to them.
    """
    if not folder.exists():
        folder.mkdir(mode=0o700, parents=True)
        sync_folder(folder.parent)
    if not folder.stat().st_mode & _OTHERS:
        return
    if any(folder.iterdir()) and not (folder / mark).exists():
        raise UsageError(
            f"{folder} holds other files, and others can look into it; name a folder that is empty or new, or "
            f"close it to them: chmod 700 {folder}"
        )
    folder.chmod(0o700)


def move(source: Path, target: Path) -> int:
    """Move a file, also from another file system; on the disk on return. Its size in bytes. OSError."""
    try:
        os.replace(source, target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        with open(source, "rb") as old, open(target, "wb", opener=private_opener) as new:
            shutil.copyfileobj(old, new)
        source.unlink()
    target.chmod(0o600)
    with open(target, "rb") as file:
        os.fsync(file.fileno())
        return os.fstat(file.fileno()).st_size
