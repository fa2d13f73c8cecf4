"""Decoding in other processes, for when one interpreter is too slow: `RemoteSource` is a source like `FileSource`."""

from __future__ import annotations

import os
import pickle
import queue
import subprocess
import threading
import weakref
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from overtone.audio.source import Chunk
from overtone.errors import Code, InputError, UsageError
from overtone.system import subprocess_call
from overtone.types import SAMPLE_RATE

_START = "from overtone.audio.decoder_process import main; main()"

_Worker = subprocess.Popen[bytes]


class DecoderPool:
    """A pool of at most `processes` decoding processes, each started when it is first needed. Thread-safe.

    Each serves one source at a time and is used again; one that dies, or is left in mid-source, is replaced.
    """

    def __init__(self, processes: int) -> None:
        self._free: queue.LifoQueue[_Worker | None] = queue.LifoQueue()
        for _ in range(processes):
            self._free.put(None)
        self._workers: set[_Worker] = set()
        self._lock = threading.Lock()
        self._closed = False
        weakref.finalize(self, _end_all, self._workers)

    def open(self, path: str, name: str) -> RemoteSource:
        """Open a path in a free process; waits for one. Raises as `FileSource` does, and UsageError once closed."""
        worker = self._free.get()
        fresh = worker is None or worker.poll() is not None
        if worker is None or fresh:
            try:
                worker = self._started(worker)
            except BaseException:
                self._free.put(None)
                raise
        # The other process stands in the folder that this one stood in when it began.
        whole = os.path.abspath(path) if os.path.exists(path) else path
        try:
            return RemoteSource(self, worker, whole, name)
        except InputError as error:
            if fresh or error.code != Code.DECODER_DIED:
                raise
        # It died while it waited, too lately for the system to have said so; that is no fault of this source.
        return self.open(path, name)

    def _started(self, instead_of: _Worker | None) -> _Worker:
        if instead_of is not None:
            self._dismiss(instead_of)
        with self._lock:
            if self._closed:
                raise UsageError("it was closed before this could be decoded", code=Code.CLOSED)
            worker = subprocess.Popen(subprocess_call.command(_START), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            self._workers.add(worker)
            return worker

    def release(self, worker: _Worker, *, clean: bool) -> None:
        """Return a process that is done with its source, or end it (not `clean`)."""
        if not clean or self._closed:
            self._dismiss(worker)
        self._free.put(worker if clean and not self._closed else None)

    def _dismiss(self, worker: _Worker) -> None:
        with self._lock:
            self._workers.discard(worker)
        _end(worker)

    def close(self) -> None:
        """End all processes; sources that are still open break off."""
        with self._lock:
            self._closed = True
            _end_all(self._workers)


class RemoteSource:
    """A source that another process decodes, and resamples: its chunks come at 16 kHz whatever `rate` says."""

    exact = False  # the claim was compared with what was decoded in the other process

    def __init__(self, pool: DecoderPool, worker: _Worker, path: str, name: str) -> None:
        self._pool, self._worker, self._name = pool, worker, name
        self._open, self._done = True, False
        self.warnings: list[str] = []
        try:
            with suppress(BrokenPipeError):  # it died; reading says so
                assert worker.stdin is not None
                pickle.dump((path, name), worker.stdin)
                worker.stdin.flush()
            about: dict[str, Any] = self._next("opened")
        except BaseException:
            self.close()
            raise
        self.channels, self.rate = about["channels"], about["rate"]
        self.codec, self.container, self.claimed_s = about["codec"], about["container"], about["claimed_s"]

    def chunks(self) -> Iterator[Chunk]:
        while (block := self._next("block")) is not None:
            self.channels = len(block)
            yield SAMPLE_RATE, block

    def _next(self, wanted: str) -> Any:
        """The next message of the process, None at the end. Raises its errors, and InputError if it is gone."""
        try:
            assert self._worker.stdout is not None
            kind, what = pickle.load(self._worker.stdout)
        except (EOFError, OSError, ValueError, pickle.UnpicklingError):
            _end(self._worker)
            text = f"{self._name}: the process that decoded it died (exit {self._worker.returncode}); run it again"
            raise InputError(text, code=Code.DECODER_DIED) from None
        self._done = kind in ("done", "error")
        if kind == "error":
            raise what
        if kind == "done":
            self.warnings += what
            return None
        assert kind == wanted
        return what

    def close(self) -> None:
        """Return the process to the pool. May be called twice."""
        if self._open:
            self._open = False
            self._pool.release(self._worker, clean=self._done)


def _end(worker: _Worker) -> None:
    if worker.poll() is None:
        worker.kill()
    worker.wait()
    for pipe in (worker.stdin, worker.stdout):
        if pipe is not None:
            with suppress(OSError, ValueError):  # unsent bytes have nobody to go to; a reader may stand in it
                pipe.close()


def _end_all(workers: set[_Worker]) -> None:
    while workers:
        _end(workers.pop())
