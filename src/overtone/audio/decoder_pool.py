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
from overtone.audio.packet_decoder import LIMITS as PACKET_LIMITS
from overtone.audio.packet_decoder import PacketDecoder
from overtone.audio.remote_source import RemoteSource
from overtone.audio.source import OnCancel
from overtone.errors import Code, OvertoneError, UsageError
from overtone.system.process_guard import ProcessGuard


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
        self._guard = ProcessGuard()
        weakref.finalize(self, _end_all, self._processes, self._guard)

    def start(self) -> None:
        """Start a process that the first source will not have to wait for."""
        self._free.put(self._take())

    def open(
        self,
        source: object,
        name: str,
        on_cancel: OnCancel | None = None,
        audio_track: int | None = None,
        *,
        header_only: bool = False,
    ) -> RemoteSource:
        """Open a path, the bytes of a file or an open binary file in a free process; waits for one.

        on_cancel: registers what ends the process when the request is cancelled. audio_track: as `FileSource`'s.
        header_only: its samples will not be asked for, and the process is free for the next when this is closed.
        Raises InputError as `FileSource` does, or for its process; UsageError once closed, and in a fork.
        """
        self._guard.check()
        file, owned = opened(source, name)
        with ExitStack() as undo:
            if owned is not None:
                undo.callback(owned.close)
            while True:
                process = self._take()
                fresh = not process.served
                remote = RemoteSource(self, process, file, name, audio_track, header_only=header_only)
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
                raise UsageError("the model was closed before this could be decoded", code=Code.CLOSED)
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
        except OvertoneError:  # said where the next one is wanted
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
        """End all processes; sources that are still open break off. Does nothing in a fork."""
        if self._guard.forked:
            return
        with self._lock:
            self._closed = True
            _end_all(self._processes, self._guard)


class DecoderPools:
    """A pool for sources that somebody waits for, and one for background work, which may hold its processes for long.

    - `foreground`: sources decoded at once.
    - `probes`: headers read beside them.
    - `background`: whether there is background work. One process decodes it: faster than any model runs.
    - `live`: whether there are live streams, whose `packets` one process decodes.
    """

    def __init__(
        self, foreground: int, probes: int, *, background: bool, live: bool = False, limits: DecoderLimits
    ) -> None:
        self.foreground = DecoderPool(foreground + probes, limits)
        self.background = DecoderPool(1, limits) if background else self.foreground
        self.packets = PacketDecoder() if live else None
        self._most, self._limits = foreground + probes + int(background), limits

    def planned_bytes(self, limits: DecoderLimits | None = None) -> int:
        """The most that all of the processes may hold: with their limits, or with other ones."""
        live_bytes = 0 if self.packets is None else PACKET_LIMITS.process_bytes
        return self._most * (limits or self._limits).process_bytes + live_bytes

    def start(self) -> None:
        """Start a process that the first source will not have to wait for."""
        self.foreground.start()

    @property
    def pids(self) -> list[int]:
        """Ids of the processes that there are now."""
        live = () if self.packets is None else self.packets.pids
        return sorted({*self.foreground.pids, *self.background.pids, *live})

    def close(self) -> None:
        """End all processes; sources that are still open break off."""
        self.foreground.close()
        self.background.close()
        if self.packets is not None:
            self.packets.close()


def _end_all(processes: set[DecoderHandle], guard: ProcessGuard) -> None:
    while processes and not guard.forked:  # they are the first process's
        processes.pop().end()
