"""Bytes let in up to a limit, first come, first served."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager


class FifoSemaphore:
    """A counting semaphore over bytes, first come, first served. A request larger than the capacity is let in alone.

    Thread-safe.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._in_use = 0
        self._queue: deque[object] = deque()
        self._changed = threading.Condition()
        self._closed = False

    @property
    def in_use(self) -> int:
        """Bytes held now."""
        return self._in_use

    def acquire(self, size: int) -> None:
        """Wait until `size` fits, and hold it."""
        place = object()
        with self._changed:
            self._queue.append(place)
            try:
                self._changed.wait_for(lambda: self._closed or (self._queue[0] is place and self._fits(size)))
                self._in_use += size
            finally:
                self._queue.remove(place)
                self._changed.notify_all()

    def _fits(self, size: int) -> bool:
        return not self._in_use or self._in_use + size <= self.capacity

    def release(self, size: int) -> None:
        """Return the bytes that `acquire` took."""
        with self._changed:
            self._in_use -= size
            self._changed.notify_all()

    @contextmanager
    def hold(self, size: int) -> Iterator[None]:
        """Hold `size` while the block runs, once it fits."""
        self.acquire(size)
        try:
            yield
        finally:
            self.release(size)

    def close(self) -> None:
        """Let all requests in; the queue they are let in to is closed as well, and refuses them."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
