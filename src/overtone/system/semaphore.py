"""Bytes let in up to a limit, first come, first served."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager


class Gate:
    """Lets in so much at a time, first come, first served; what is larger than all is let in alone. Thread-safe."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._held = 0
        self._queue: deque[object] = deque()
        self._changed = threading.Condition()
        self._closed = False

    @property
    def held(self) -> int:
        """What is in now."""
        return self._held

    def take(self, size: int) -> None:
        """Wait until `size` fits, and hold it."""
        place = object()
        with self._changed:
            self._queue.append(place)
            try:
                self._changed.wait_for(lambda: self._closed or (self._queue[0] is place and self._fits(size)))
                self._held += size
            finally:
                self._queue.remove(place)
                self._changed.notify_all()

    def _fits(self, size: int) -> bool:
        return not self._held or self._held + size <= self.capacity

    def give(self, size: int) -> None:
        """Give back what `take` held."""
        with self._changed:
            self._held -= size
            self._changed.notify_all()

    @contextmanager
    def holding(self, size: int) -> Iterator[None]:
        """Hold `size` while the block runs, once it fits."""
        self.take(size)
        try:
            yield
        finally:
            self.give(size)

    def wait_until_empty(self) -> None:
        """Wait until nothing is in."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or not self._held)

    def close(self) -> None:
        """Let everyone in; what they are let in to is closed as well, and will tell them."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
