"""Decoding in other processes, where a file that ends FFmpeg ends nothing else."""

from __future__ import annotations

import queue
import threading
import weakref
from contextlib import ExitStack

from overtone.audio.decoder_channel import ChannelError
from overtone.audio.decoder_handle import DecoderHandle
from overtone.audio.decoder_limits import DecoderLimits
from overtone.audio.open import opened
from overtone.audio.remote_source import RemoteSource
from overtone.audio.source import OnCancel
from overtone.errors import Code, UsageError


class DecoderPool:
    """A pool of at most `processes` decoding processes, each started when it is first needed. Thread-safe.

    Each serves one source at a time and is used again; one that dies, or is left in mid-source, is replaced.
    """

    def __init__(self, processes: int, limits: DecoderLimits | None = None) -> None:
        self._limits = limits or DecoderLimits()
        self._free: queue.LifoQueue[DecoderHandle | None] = queue.LifoQueue()
        for _ in range(processes):
            self._free.put(None)
        self._processes: set[DecoderHandle] = set()
        self._lock = threading.Lock()
        self._closed = False
        weakref.finalize(self, _end_all, self._processes)

    def start(self) -> None:
        """Start a process that the first source will not have to wait for."""
        self._free.put(self._take())

    def open(self, source: object, name: str, on_cancel: OnCancel | None = None) -> RemoteSource:
        """Open a path, the bytes of a file or an open binary file in a free process; waits for one.

        on_cancel: registers what ends the process when the request is cancelled.
        Raises InputError as `FileSource` does, or for its process; UsageError once closed.
        """
        file, owned = opened(source, name)
        with ExitStack() as undo:
            if owned is not None:
                undo.callback(owned.close)
            while True:
                process = self._take()
                fresh = not process.served
                remote = RemoteSource(self, process, file, name)
                if on_cancel is not None:
                    on_cancel(remote.abort)
                try:
                    remote.begin()
                except ChannelError:
                    # One that died while it waited, too lately for the system to have said so, is replaced.
                    error = remote.died()
                    if fresh or remote.aborted:
                        raise error from None
                    continue
                remote.describe()
                remote.on_close(undo.pop_all().close)
                return remote

    def _take(self) -> DecoderHandle:
        """A process that is free; waits for one."""
        process = self._free.get()
        if process is not None and not process.dead:
            return process
        try:
            if process is not None:
                self._dismiss(process)
            return self._started()
        except BaseException:
            self._free.put(None)
            raise

    def _started(self) -> DecoderHandle:
        with self._lock:
            if self._closed:
                raise UsageError("it was closed before this could be decoded", code=Code.CLOSED)
            process = DecoderHandle(self._limits)
            self._processes.add(process)
            return process

    def release(self, process: DecoderHandle, *, clean: bool) -> None:
        """Return a process that is done with its source, or end it (not `clean`)."""
        if clean and not self._closed:
            self._free.put(process)
            return
        self._dismiss(process)
        try:
            self._free.put(self._started())  # so that the next source need not wait for it
        except (UsageError, OSError):
            self._free.put(None)

    def _dismiss(self, process: DecoderHandle) -> None:
        with self._lock:
            self._processes.discard(process)
        process.end()

    @property
    def closed(self) -> bool:
        """True once it takes no more sources."""
        return self._closed

    @property
    def pids(self) -> list[int]:
        """Ids of the processes that there are now."""
        with self._lock:
            return [process.pid for process in self._processes]

    def close(self) -> None:
        """End all processes; sources that are still open break off."""
        with self._lock:
            self._closed = True
            _end_all(self._processes)


class DecoderPools:
    """A pool for sources that somebody waits for, and one for background work, which may hold its processes for long.

    - `foreground`: sources decoded at once.
    - `probes`: headers read beside them.
    - `background`: whether there is background work. One process decodes it: faster than any model runs.
    """

    def __init__(self, foreground: int, probes: int, *, background: bool, limits: DecoderLimits) -> None:
        self.foreground = DecoderPool(foreground + probes, limits)
        self.background = DecoderPool(1, limits) if background else self.foreground
        self.planned_bytes = (foreground + probes + int(background)) * limits.process_bytes
        """The most that all of the processes may hold."""

    def start(self) -> None:
        """Start a process that the first source will not have to wait for."""
        self.foreground.start()

    @property
    def pids(self) -> list[int]:
        """Ids of the processes that there are now."""
        return sorted({*self.foreground.pids, *self.background.pids})

    def close(self) -> None:
        """End all processes; sources that are still open break off."""
        self.foreground.close()
        self.background.close()


def _end_all(processes: set[DecoderHandle]) -> None:
    while processes:
        processes.pop().end()
