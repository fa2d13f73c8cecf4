"""Temporary files without a name, and what to do where the disk does not take them."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from overtone.errors import Code, UsageError

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Errors of a disk, a quota and a limit on the size of files (`ulimit -f`) that take no more."""

REFUSING = (*FULL, errno.EROFS, errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.EPERM)
"""Errors of a folder that takes no files, which whoever runs this can mend."""

_PROBE_BYTES = 64 << 10

_REMEDIES = {
    errno.ENOSPC: "Make room there",
    errno.EDQUOT: "Make room there, or have the quota raised",
    errno.EFBIG: "Raise the limit on the size of files (ulimit -f)",
    errno.EROFS: "Have it mounted for writing",
    errno.ENOENT: "Make that folder again",
}


def storage_remedy(error: OSError) -> str:
    """The remedy for a folder that takes no files, as the beginning of a sentence."""
    return _REMEDIES.get(error.errno or 0, "Allow writing there")


def temporary_file_error(error: OSError) -> UsageError:
    """The error to raise where a temporary file cannot be made or written. It names the folder and the remedy.

    Its code is no_space where there is no room, and unwritable otherwise.
    """
    try:
        folder = tempfile.gettempdir()
    except OSError:  # its own search for a folder that takes files found none
        return UsageError(
            "no folder takes temporary files: all of those that the system names are full, missing or cannot be "
            "written. Make room, or name another one as TMPDIR.",
            code=Code.NO_SPACE,
        )
    reason = os.strerror(error.errno) if error.errno else str(error)
    return UsageError(
        f"cannot write temporary files in {folder}: {reason}. {storage_remedy(error)}, or name another folder as "
        "TMPDIR.",
        code=Code.NO_SPACE if error.errno in FULL else Code.UNWRITABLE,
    )


@contextmanager
def map_temporary_errors() -> Iterator[None]:
    """Turn a system error inside the block into the UsageError of `temporary_file_error`."""
    try:
        yield
    except OSError as error:
        raise temporary_file_error(error) from error


def storage_problem(folder: Path) -> str | None:
    """The reason why a folder takes no files now, as the end of a sentence; None where it takes some. Keeps none.

    One of `is gone`, `has no space`, and `cannot be written` with the system's words for why.
    """
    try:
        with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
            left = _PROBE_BYTES
            while left:
                left -= file.write(bytes(left))
    except (FileNotFoundError, NotADirectoryError):
        return "is gone"
    except OSError as error:
        if error.errno in FULL:
            return "has no space" if error.errno == errno.ENOSPC else f"has no space ({os.strerror(error.errno)})"
        return f"cannot be written ({os.strerror(error.errno) if error.errno else error})"
    return None


def temporary_storage_problem() -> str | None:
    """As `storage_problem`, of the folder of temporary files."""
    try:
        return storage_problem(Path(tempfile.gettempdir()))
    except OSError:  # its own search for a folder that takes files found none
        return "is missing: no folder takes temporary files"


def unnamed_file() -> IO[bytes]:
    """An open file without a name, which is gone with its last descriptor, also after a kill. OSError."""
    return tempfile.TemporaryFile()
