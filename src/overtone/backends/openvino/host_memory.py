"""What everything that OpenVINO runs shares: the process is what its budget bounds."""

from __future__ import annotations

import gc
from abc import abstractmethod
from collections.abc import Callable
from typing import TypeVar

from overtone.errors import OutOfMemory
from overtone.system.machine import peak_rss_bytes, rss_bytes
from overtone.system.memory import memory_refusal

_T = TypeVar("_T")


class OpenvinoMemoryMixin:
    """See `Backend`."""

    name = "openvino"
    device = "cpu"

    @abstractmethod
    def trim(self) -> None:
        """See Backend."""

    def guard(self, work: Callable[[], _T]) -> _T:
        """Do `work`, which runs models. Raises OutOfMemory, with nothing kept, where the system refuses memory."""
        try:
            return work()
        except (RuntimeError, MemoryError) as error:
            refusal = memory_refusal(error)
            if refusal is None:
                raise
        # Here nothing holds the error any more, whose traceback held the batch.
        gc.collect()
        self.trim()
        raise OutOfMemory(refusal)

    def allocated_bytes(self) -> int:
        """See Backend."""
        return rss_bytes()

    def reclaimable_bytes(self) -> int:
        """See Backend. OpenVINO does not tell what it keeps."""
        return 0

    def peak_bytes(self) -> int:
        """See Backend."""
        return peak_rss_bytes()
