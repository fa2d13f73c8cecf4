"""Pages of mapped weights given back while they are still being read."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType

_INTERVAL_S = 0.01
"""Seconds between two times. A graph is packed at some 2 GB/s, so that about 20 MB of its file are resident at a time;
the pages that are read again meanwhile come from the system's cache."""


class PageReclaimer:
    """Gives a file's pages back again and again while the `with` block runs, and once more at its end.

        with PageReclaimer(file.drop_pages): ...

    Compiling a graph and running it for the first time read all of its weights to pack them. Given back only at the
    end, the file's pages and the packed weights count together: at its first run emotion2vec's base shape in
    float32 peaked at 844 MiB, and peaks at 513, where 506 are resident after it. drop: gives pages back; called by
    another thread. Where the system refuses one, what runs in the block takes more memory, and that is all.
    """

    def __init__(self, drop: Callable[[], None]) -> None:
        self._drop = drop
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._reclaim, name="overtone-pages", daemon=True)

    def _reclaim(self) -> None:
        while not self._stop.wait(_INTERVAL_S):
            self._drop()

    def __enter__(self) -> PageReclaimer:
        with suppress(RuntimeError):
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join()
        self._drop()
