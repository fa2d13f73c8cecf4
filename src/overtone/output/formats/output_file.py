"""Destination of an output's bytes: standard output, or a file that gets its name when it is complete."""

from __future__ import annotations

import errno
import io
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, TypeAlias

from overtone.errors import Code, UsageError
from overtone.system.files import replace_atomically

DRAIN_BYTES = 1 << 20
"""Bytes kept before they are written; a record under this is one write."""

PART = ".part"
"""Ending of a file that is still being written, beside the one it will replace."""


@contextmanager
def map_write_errors(path: str) -> Iterator[None]:
    """Turn a system error inside the block into a UsageError that names `path` and a remedy.

    A closed pipe stays a BrokenPipeError: the reader has enough, which is no mistake.
    """
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        reason = error.strerror or str(error)
        raise UsageError(
            f"cannot write {path}: {reason}. Choose another place, or make room and allow writing there.",
            code=Code.UNWRITABLE,
        ) from error


@contextmanager
def replacing(path: str, *, mode: int | None = None, sync: bool = False) -> Iterator[BinaryIO]:
    """A new file beside `path` to write; it replaces `path`, or what that links to, if the block succeeds.

    Missing folders are made. UsageError for a system error, also one of the block's. `mode`, `sync`: as in
    `replace_atomically`.
    """
    final = os.path.realpath(path)
    with map_write_errors(path):
        make_parent(final)
        with replace_atomically(Path(final), mode=mode, sync=sync, temporary=Path(final + PART)) as file:
            yield file


def make_folder(path: str) -> None:
    """Make a folder to write into, with its parents, now rather than after the first hour of work.

    UsageError where it cannot be made or written.
    """
    with map_write_errors(path):
        Path(path).mkdir(parents=True, exist_ok=True)
        if not os.access(path, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, "Permission denied")


def make_parent(path: str) -> None:
    """Make the folder that `path` lies in, with its parents."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)


Place: TypeAlias = "str | BinaryIO | None"
"""Destination of an output: a path, an open file that is written to and left open, or standard output (None)."""


class Target:
    """Bytes in order to a place: a file object for csv and Arrow.

    A file is written under a name ending in `.part` and renamed by `close`, unless `in_place`; `append` keeps
    the existing content and implies `in_place`. Pipes and devices are always written in place. Opening makes missing
    folders. UsageError where the file cannot be written.
    """

    def __init__(self, path: Place, *, in_place: bool = False, append: bool = False) -> None:
        self._pending = bytearray()
        self._drained = 0
        self._raw: io.FileIO | None = None
        self._rename: tuple[str, str] | None = None
        self._regular = False
        self._base = 0
        self._into = None if isinstance(path, str) else path
        self.name = path if isinstance(path, str) else "standard output"
        self.closed = False
        if isinstance(path, str):
            with map_write_errors(path):
                self._open(path, in_place=in_place or append, append=append)

    def _open(self, path: str, *, in_place: bool, append: bool) -> None:
        # The target of a link is replaced, not the link; a device or a pipe cannot be replaced at all.
        final = os.path.realpath(path)
        make_parent(final)
        if not in_place and (not os.path.exists(final) or os.path.isfile(final)):
            self._rename = (final + PART, final)
        self._raw = io.FileIO(self._rename[0] if self._rename else final, "ab" if append else "wb")
        status = os.fstat(self._raw.fileno())
        self._regular = stat.S_ISREG(status.st_mode)
        self._base = status.st_size
        if append and self._base and not _ends_line(final):
            self.write("\n")

    def write(self, data: str | bytes) -> int:
        """Add text (as UTF-8; characters without UTF-8 as `\\udc80`) or bytes."""
        before = len(self._pending)
        self._pending += data.encode("utf-8", "backslashreplace") if isinstance(data, str) else data
        added = len(self._pending) - before
        if len(self._pending) >= DRAIN_BYTES:
            self.flush()
        return added

    def flush(self) -> None:
        """Hand everything to the system."""
        data, self._pending = self._pending, bytearray()
        with map_write_errors(self.name):
            if self._into is not None:
                self._into.write(data)
            elif self._raw is None:
                _to_stdout(bytes(data))
            else:
                left = memoryview(data)
                while left:
                    left = left[self._raw.write(left) :]
        self._drained += len(data)

    @property
    def replaces(self) -> bool:
        """True where `close` puts the file in the place of one that may be there."""
        return self._rename is not None

    def position(self) -> int:
        """Bytes written so far."""
        return self._drained + len(self._pending)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Write all of the block or, in a file, none of it if the block fails. Flushes at the end."""
        self.flush()
        start = self._drained
        try:
            yield
            self.flush()
        except BaseException:
            self._cut(start)
            raise

    def _cut(self, start: int) -> None:
        self._pending.clear()
        if self._raw is not None and self._regular:
            self._raw.truncate(self._base + start)
            self._raw.seek(self._base + start)
            self._drained = start

    def abort(self) -> None:
        """Close without leaving a file. One written in place stays."""
        self._pending.clear()
        rename, self._rename = self._rename, None
        self.close()
        if rename:
            os.unlink(rename[0])

    def close(self) -> None:
        """Write the rest and give the file its name, also after an error. Closing again does nothing."""
        if self.closed:
            return
        self.closed = True
        try:
            self.flush()
        finally:
            if self._raw is not None:
                self._raw.close()
            if self._rename:
                with map_write_errors(self.name):
                    os.replace(*self._rename)


def _to_stdout(data: bytes) -> None:
    sys.stdout.flush()
    binary = getattr(sys.stdout, "buffer", None)
    if binary is None:  # replaced by a text-only object, as notebooks do
        sys.stdout.write(data.decode("utf-8", "backslashreplace"))
    else:
        binary.write(data)
    sys.stdout.flush()


def _ends_line(path: str) -> bool:
    with open(path, "rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"
