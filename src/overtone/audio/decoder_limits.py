"""Limits of a process that decodes: what one file may take of memory and processor, and which files it may open."""

from __future__ import annotations

import math
import os
import resource
import time
from contextlib import suppress
from dataclasses import dataclass

from overtone.system.memory import GIB, MIB


@dataclass(frozen=True, slots=True)
class DecoderLimits:
    """Memory and processor time that decoding one file may take.

    - `memory_bytes`: beyond what the process holds before it opens a file.
    - `base_cpu_s`, `cpu_per_audio_s`: seconds of processor time, and more of them for each second of audio that has
      been decoded. The slowest codecs take some hundredths of a second for one.
    - `cpu_per_silence_s`: as much for each second of silence that a hole is filled with, which a few bytes can claim.
    """

    memory_bytes: int = 256 * MIB
    base_cpu_s: float = 5.0
    cpu_per_audio_s: float = 0.5
    cpu_per_silence_s: float = 0.02

    @property
    def process_bytes(self) -> int:
        """The most that a process may hold."""
        return PROCESS_BYTES + self.memory_bytes

    def cpu_s(self, decoded_s: float, silence_s: float = 0.0) -> float:
        """Seconds of processor time that so many seconds may have taken. silence_s: those that are filled in."""
        audio_s = max(0.0, decoded_s - silence_s)
        return self.base_cpu_s + self.cpu_per_audio_s * audio_s + self.cpu_per_silence_s * silence_s


PROCESS_BYTES = 24 * MIB
"""Bytes that a decoding process holds before it opens a file: Python, NumPy, FFmpeg. Measured: 22 MiB that it shares
with no other, on Linux."""

LEAST_SHARE, MOST_SHARE = 40 * MIB, 256 * MIB
"""Bytes that a file may take, at the least and at the most. Plain audio takes a few MiB; FFmpeg's index of packets has
24 bytes for each (`AVIndexEntry`), 37 MiB for ten hours of AAC."""

_GROWTH = 32
"""Of each so many bytes of a budget beyond a GiB, one more for a file: fewer processes than that grow together more
slowly than the budget, so what a budget holds, a larger one holds."""


def limits_for(budget_bytes: int | None) -> DecoderLimits:
    """Limits within a budget for everything; None is one without a limit that was given."""
    if budget_bytes is None:
        return DecoderLimits(MOST_SHARE)
    more = max(0, budget_bytes - GIB) // (_GROWTH * MIB) * MIB
    return DecoderLimits(min(LEAST_SHARE + more, MOST_SHARE))


class ProcessLimits:
    """The limits that the system holds this process to: it ends the process where they are passed."""

    def __init__(self, limits: DecoderLimits) -> None:
        self._limits = limits
        self._base_bytes = _virtual_bytes()
        self._began_s = 0.0

    def enter(self, spare: int) -> None:
        """Hold this process to its limits from now on.

        spare: a descriptor that is free; no more files can be open than come to be with this one.
        """
        _limit(resource.RLIMIT_CORE, 0)
        _limit(resource.RLIMIT_FSIZE, 0)
        _limit(resource.RLIMIT_NOFILE, spare + 1)
        if self._base_bytes:
            _limit(resource.RLIMIT_AS, self._base_bytes + self._limits.memory_bytes)

    def begin(self) -> None:
        """Begin a file, whose processor time counts from here."""
        self._began_s = time.process_time()
        self.progress(0.0)

    def progress(self, decoded_s: float, silence_s: float = 0.0) -> None:
        """Allow the processor time of so many seconds of audio, `silence_s` of which are filled in."""
        hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
        allowed = math.ceil(self._began_s + self._limits.cpu_s(decoded_s, silence_s))
        with suppress(ValueError, OSError):  # a limit from outside that is lower stays
            resource.setrlimit(resource.RLIMIT_CPU, (allowed, hard))

    @property
    def worn_out(self) -> bool:
        """True once fragments of earlier files hold much of what a file may take: time for a fresh process."""
        return _virtual_bytes() > self._base_bytes + self._limits.memory_bytes // 2


def _limit(kind: int, value: int) -> None:
    with suppress(ValueError, OSError):  # a limit from outside that is lower stays
        resource.setrlimit(kind, (value, value))


def _virtual_bytes() -> int:
    """Address space of this process; 0 where the system does not tell."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        return 0
