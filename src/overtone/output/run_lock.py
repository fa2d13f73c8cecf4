"""The lock of an output: one run at a time writes into it.

    out.csv.lock             there while a run writes into out.csv

Two runs would begin, cut and rename the same files, and a `.jsonl` would have every input twice.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from filelock import FileLock, Timeout

from overtone.errors import UsageError
from overtone.output.formats.output_file import make_parent

ENDING = ".lock"
"""Ending of a lock, after the name of its output. One that a killed run has left is empty, and keeps no run out."""


@contextmanager
def run_lock(output: str) -> Iterator[None]:
    """Hold the lock of an output while the block runs; missing folders are made.

    UsageError while another run has it. Where a folder takes no file, or a file system knows no locks, there is none:
    an error of the folder comes with the first write.
    """
    path = os.path.realpath(output) + ENDING
    lock = FileLock(path, timeout=0)
    with suppress(OSError, NotImplementedError):
        make_parent(path)
        _take(lock, path, output)
    try:
        yield
    finally:
        if lock.is_locked:
            with suppress(OSError):
                os.unlink(path)  # while it is held, so that it is nobody else's
            lock.release()


def _take(lock: FileLock, path: str, output: str) -> None:
    while not lock.is_locked:
        try:
            lock.acquire()
        except Timeout:
            raise UsageError(
                f"another run is writing into {output}; wait until it has ended, or use another -o."
            ) from None
        if not os.path.exists(path):  # it was opened just before its run ended and took it away
            lock.release()
