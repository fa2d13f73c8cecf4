"""The memory that a budget bounds: this process on a CPU, the device on a GPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from overtone.system.machine import peak_rss_bytes, rss_bytes, trim_heap
from overtone.system.memory import PeakSampler


class DeviceMemory(Protocol):
    """Bytes in use on a device, and what gives some of them back."""

    def allocated(self) -> int:
        """Bytes in use now."""

    def reclaimable(self) -> int:
        """Bytes of `allocated` that are only kept for the next batch to use; 0 where that is not known."""

    def peak(self) -> int:
        """The highest that `allocated` has been; only ever grows."""

    def trim(self) -> None:
        """Give memory that is only kept for speed back to the system."""

    def measure(self, function: Callable[[], object]) -> int:
        """Peak bytes that a call took on top of what was held before it."""


class ProcessMemory:
    """The resident set of this process. release: gives back what a runtime keeps between runs, to the heap."""

    def __init__(self, release: Callable[[], None] = lambda: None) -> None:
        self._release = release

    def allocated(self) -> int:
        """Resident bytes."""
        return rss_bytes()

    def reclaimable(self) -> int:
        """0: neither OpenVINO nor the heap tells what it keeps."""
        return 0

    def peak(self) -> int:
        """Highest resident bytes so far."""
        return peak_rss_bytes()

    def trim(self) -> None:
        """Give back what runs left allocated."""
        self._release()
        trim_heap()

    def measure(self, function: Callable[[], object]) -> int:
        """Peak resident bytes that a call took, sampled while it runs."""
        self.trim()
        before = rss_bytes()
        with PeakSampler() as sampler:
            function()
        return max(0, sampler.peak_bytes - before)
