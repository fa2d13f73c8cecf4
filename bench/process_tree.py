"""A command run as a child, and the most memory that it and all its descendants held at once, seen from outside."""

from __future__ import annotations

import os
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

SAMPLED_EVERY_S = 0.05
"""Between two looks: a decoder that takes gigabytes needs several times as long for it."""

_LAST_CHARACTERS = 2_000
"""Of standard error, to show why a run failed."""


@dataclass(frozen=True)
class TreeRun:
    """A command that has ended. Peak: proportional set sizes, in bytes, added up over the tree of processes."""

    returncode: int
    stdout: str
    stderr_tail: str
    peak_bytes: int


def tree_bytes(pid: int) -> int:
    """Proportional set size of a process and all its descendants, in bytes; 0 once they have gone."""
    try:
        processes = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0
    held = 0
    for process in processes:
        try:
            # One line of the kernel for all mappings; psutil's `memory_full_info` reads each.
            rollup = Path(f"/proc/{process.pid}/smaps_rollup").read_text(encoding="ascii")
        except (OSError, ProcessLookupError):
            continue
        for line in rollup.splitlines():
            if line.startswith("Pss:"):
                held += int(line.split()[1]) * 1024
    return held


class PeakWatch:
    """Samples the memory of a tree of processes until it is closed; `peak_bytes` is the most it saw."""

    def __init__(self, pid: int) -> None:
        self.peak_bytes = 0
        self._pid = pid
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._over.wait(SAMPLED_EVERY_S):
            self.peak_bytes = max(self.peak_bytes, tree_bytes(self._pid))

    def close(self) -> None:
        """Stop sampling."""
        self._over.set()
        self._thread.join()


def run_observed(command: Sequence[str], timeout_s: float = 600.0, **environment: str) -> TreeRun:
    """Run a command to its end and return what it wrote, how it ended, and the peak of its tree.

    subprocess.TimeoutExpired if it takes longer than `timeout_s`; it is killed then.
    """
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=errors, env={**os.environ, **environment}
        )
        watch = PeakWatch(process.pid)
        try:
            process.wait(timeout_s)
        finally:
            process.kill()
            process.wait()
            watch.close()
        out.seek(0)
        errors.seek(0)
        stdout, stderr = (file.read().decode(errors="replace") for file in (out, errors))
    return TreeRun(process.returncode, stdout, stderr[-_LAST_CHARACTERS:], watch.peak_bytes)
