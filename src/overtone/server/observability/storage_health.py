"""Health of the folders that a service writes to."""

from __future__ import annotations

import logging
from pathlib import Path

from overtone.server.uploads import Spool
from overtone.system.temporary_files import storage_problem

_LOG = logging.getLogger("overtone.server")


class StorageHealth:
    """Says which of the folders of jobs and uploads takes no files, and logs it with its path when that changes."""

    def __init__(self, jobs: Path, spool: Spool) -> None:
        self._jobs, self._spool = jobs, spool
        self._known: dict[str, str | None] = {}

    @property
    def healthy(self) -> bool:
        """True if both could be used when they were last looked at."""
        return not any(self._known.values())

    def problems(self) -> list[str]:
        """A sentence for each folder that cannot be used, without its path, as anybody may ask. Blocks for the disk."""
        found = {
            f"jobs folder {self._jobs}": storage_problem(self._jobs),
            f"uploads folder {self._spool.path}": self._spool.problem(),
        }
        for folder, problem in found.items():
            if problem != self._known.get(folder):
                if problem is not None:
                    _LOG.error("not ready: the %s %s", folder, problem)
                else:
                    _LOG.warning("the %s can be written again", folder)
        self._known = found
        return [f"the {folder.split()[0]} folder {problem}" for folder, problem in found.items() if problem is not None]
