"""The files of one request, on their way to disk."""

from __future__ import annotations

from anyio import CancelScope, to_thread

from overtone.errors import RefusedError
from overtone.server.uploads.names import sanitize_filename
from overtone.server.uploads.spool import Spool
from overtone.server.uploads.spooled_file import SpoolFile, Upload
from overtone.system.memory import MIB, format_size

FLUSH_BYTES = MIB
"""So much waits in memory before a thread writes it. Pieces of a body are small (64 KiB), and going to a thread and
back takes longer than writing one."""


class UploadWriter:
    """Files that begin, grow and end one after the other, within the limits of a spool.

    `begin`, `data` and `end` do no I/O, so a parser may call them; `settle` is awaited after each piece of the body.
    """

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._bytes = 0
        self._files: list[SpoolFile] = []
        self._settled: list[Upload] = []

    @property
    def uploads(self) -> tuple[Upload, ...]:
        """The files that are whole, in the order in which they came."""
        return tuple(self._settled)

    def begin(self, name: str) -> None:
        """A file begins. RefusedError (bad_request) where it is one too many."""
        most = self._spool.limits.most_files
        if len(self._files) >= most:
            raise RefusedError(f"one request takes at most {most} files, and this one has more.", code="bad_request")
        self._files.append(SpoolFile(self._spool, sanitize_filename(name)))

    def data(self, piece: bytes) -> None:
        """More of the file that began last. RefusedError (too_large) where the request has too much."""
        self._bytes += len(piece)
        if self._bytes > self._spool.limits.most_bytes:
            raise too_large(self._spool.limits.most_bytes)
        self._files[-1].add(piece)

    def end(self) -> None:
        """The file that began last is whole."""
        self._files[-1].ended = True

    async def settle(self) -> None:
        """Write what has to be written, in a thread. InputError (empty), RefusedError (no_space)."""
        unsettled = self._files[len(self._settled) :]
        if ended := [file for file in unsettled if file.ended]:
            self._settled += await to_thread.run_sync(lambda: [file.finish() for file in ended])
        if unsettled and not unsettled[-1].ended and self._is_due(unsettled[-1].pending_bytes):
            await to_thread.run_sync(unsettled[-1].flush)

    def _is_due(self, pending_bytes: int) -> bool:
        return pending_bytes >= FLUSH_BYTES or (pending_bytes > 0 and self._spool.write_buffer_full)

    async def discard(self) -> None:
        """Leave nothing of any of them, also where the request is being cancelled."""
        with CancelScope(shield=True):
            await to_thread.run_sync(self._discard)

    def _discard(self) -> None:
        for file in self._files:
            file.discard()


def too_large(most_bytes: int) -> RefusedError:
    """What to say of a request with more in it than `most_bytes`."""
    return RefusedError(
        f"one request takes at most {format_size(most_bytes)} of files ({most_bytes} bytes); send fewer at a time, or "
        "cut or compress the audio.",
        code="too_large",
    )
