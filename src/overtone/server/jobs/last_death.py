"""Cause of the end of the last process of a service: its own fault, or a kill from outside.

A file in the folder of the jobs is there while the service runs. Its first line is the machine's count of processes
that were ended for lack of memory; Python's fault handler writes below it when a signal such as SIGSEGV ends the
process. A kill from outside, or a loss of power, adds nothing.
"""

from __future__ import annotations

import faulthandler
import logging
import sys
from contextlib import suppress
from pathlib import Path
from typing import IO

from overtone.server.jobs.service_clock import boot_id
from overtone.system.files import private_opener

_LOG = logging.getLogger("overtone.server.jobs")

_VMSTAT = Path("/proc/vmstat")

_MOST_CHARACTERS = 4000
"""Characters of a fault that are logged."""


def out_of_memory_kills() -> int:
    """The number of processes that this machine has ended for lack of memory since it was started; 0 if not known."""
    with suppress(OSError, ValueError):
        for line in _VMSTAT.read_text("ascii").splitlines():
            name, _, count = line.partition(" ")
            if name == "oom_kill":
                return int(count)
    return 0


def was_own_fault(text: str, boot: str, kills: int) -> bool:
    """True if a process that left this text ended over its own fault, or may have been ended for lack of memory.

    text: the content of its file. boot, kills: `boot_id` and `out_of_memory_kills` now.
    """
    head, _, fault = text.partition("\n")
    before, _, count = head.partition(" ")
    return bool(fault.strip()) or (before == boot and count.isdecimal() and kills > int(count))


class DeathWatch:
    """The file at `path`, which the next process reads. `begin` it, and `end` it where the service ends in order."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[str] | None = None
        self._before = False

    def begin(self) -> bool:
        """Watch this process from now on. True if the one before ended over its own fault, which is logged."""
        boot, kills = boot_id(), out_of_memory_kills()
        try:
            text = self._path.read_text("utf-8", "replace") if self._path.exists() else ""
            self._file = open(self._path, "w", encoding="utf-8", opener=private_opener)  # noqa: SIM115 - by `end`
            self._file.write(f"{boot} {kills}\n")
            self._file.flush()
        except OSError as error:
            _LOG.warning("%s: how this service ends will not be known (%s)", self._path.name, error.strerror)
            return False
        self._before = faulthandler.is_enabled()
        faulthandler.enable(self._file)
        if not was_own_fault(text, boot, kills):
            return False
        fault = text.partition("\n")[2].strip()[:_MOST_CHARACTERS]
        _LOG.error("the last process ended over a fault of its own: %s", fault or "the machine had no more memory")
        return True

    def end(self) -> None:
        """Watch no more. Ending again does nothing."""
        if self._file is None:
            return
        faulthandler.disable()
        if self._before:
            with suppress(OSError, ValueError, RuntimeError, AttributeError):
                faulthandler.enable(sys.__stderr__)  # type: ignore[arg-type]
        self._file.close()
        self._file = None
        self._path.unlink(missing_ok=True)
