"""Guard of a model in a fork of its process, where neither its threads nor the processes that decode for it are."""

from __future__ import annotations

import os
from typing import NoReturn

from overtone.errors import UsageError


class ProcessGuard:
    """Process in which a model was made. Check it before a lock is taken: a fork may have a copy of it that is held."""

    def __init__(self) -> None:
        self._pid = os.getpid()

    @property
    def forked(self) -> bool:
        """True in a fork of the process."""
        return os.getpid() != self._pid

    def check(self) -> None:
        """UsageError in a fork of the process."""
        if self.forked:
            raise UsageError(
                f"this model was made in process {self._pid}, of which this one is a fork, and works there alone; make "
                "one in each process, or start processes with multiprocessing's 'spawn'."
            )


def refuse_copy() -> NoReturn:
    """UsageError of a loaded model that is pickled or copied, as for another process."""
    raise UsageError(
        "a loaded model is of its process alone: it cannot be pickled or copied; make one in each process."
    )
