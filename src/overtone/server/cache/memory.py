"""Answers in the memory of this process."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from overtone.errors import UsageError
from overtone.server.cache.store import checked_ttl

ENTRY_BYTES = 320
"""Bytes of an entry beside the characters of its key and the bytes of its value: the headers of both objects, the
entry, its place in the table. 220 to 254 were seen (CPython 3.11), and allocators round up."""

LARGEST_SHARE = 8
"""A value over an eighth of the capacity is not kept: it would push out many answers to be, most often, never asked
for again."""


@dataclass(frozen=True, slots=True)
class _Entry:
    """A value and the time it is kept until, by the store's clock."""

    value: bytes
    until_s: float


class MemoryStore:
    """The answers used last, in `capacity_bytes` at most, counting keys, values and `ENTRY_BYTES` for each.

    A capacity of 0 keeps none. An answer whose time is over is dropped when it is asked for, or when its turn to
    make room comes. For one event loop: nothing here waits, and nothing is locked.

    `ttl_s`: seconds that an answer is kept from when it was put, None for no end.
    """

    healthy = True
    last_error = None
    failure_count = 0
    rejected_count = 0

    def __init__(
        self, capacity_bytes: int, ttl_s: float | None = None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        if capacity_bytes < 0:
            raise UsageError(f"a cache cannot hold {capacity_bytes} bytes; give 0 for none, or more.")
        self.capacity_bytes = capacity_bytes
        checked = checked_ttl(ttl_s)
        self._ttl_s = float("inf") if checked is None else checked
        self._clock = clock
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        """Entries, the least recently used first."""
        self._held_bytes = 0
        self._evicted = 0

    @property
    def held_bytes(self) -> int:
        """Bytes of the entries, by the same count as the capacity."""
        return self._held_bytes

    @property
    def entries(self) -> int:
        """Number of answers kept."""
        return len(self._entries)

    @property
    def evicted(self) -> int:
        """Number of answers that have made room for others so far."""
        return self._evicted

    async def get(self, key: str) -> bytes | None:
        entry = self._entries.get(key)
        if entry is None:
            return None
        if self._clock() >= entry.until_s:
            self._drop(key)
            return None
        self._entries.move_to_end(key)
        return entry.value

    async def put(self, key: str, value: bytes) -> None:
        """Keep a value, if it is small enough; the least recently used ones make room."""
        self._drop(key)
        size = _size_of(key, value)
        if size > self.capacity_bytes or len(value) * LARGEST_SHARE > self.capacity_bytes:
            return
        while self._held_bytes + size > self.capacity_bytes:
            self._drop(next(iter(self._entries)))
            self._evicted += 1
        self._entries[key] = _Entry(value, self._clock() + self._ttl_s)
        self._held_bytes += size

    async def close(self) -> None:
        """Let go of every answer."""
        self._entries.clear()
        self._held_bytes = 0

    def _drop(self, key: str) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._held_bytes -= _size_of(key, entry.value)


def _size_of(key: str, value: bytes) -> int:
    """Bytes that an entry is charged. Keys are ASCII, so a character is a byte."""
    return ENTRY_BYTES + len(key) + len(value)
