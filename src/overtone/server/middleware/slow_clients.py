"""Connections that end: uvicorn's own waits for ever for a client that says nothing, or asks and does not read."""

from __future__ import annotations

import asyncio
import resource
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

MOST_CONNECTIONS = 2000
"""Connections open at once. Each costs some 50 KB; admission bounds the requests on them."""

HEAD_S = 10.0
"""Seconds from a connection, or the first byte of a further request, until the whole head of the request is there."""

STALLED_S = 30.0
"""Seconds between two looks at an answer that its client is slow to take."""

_LEAST_RATE = 4096
"""Bytes per second, on average, in which answers that do not fit into the system's buffers have to be taken."""

_BEYOND = 20
"""Connections that are refused with a message; any on top of them are closed unheard."""

_OWN = 200
"""Descriptors of the service itself. A connection has one, and one for the file that comes through it; where none
come, there is room for connections that have come and are not counted yet."""


class Connection(H11Protocol):
    """One connection, with an end to the time its client is waited for."""

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._heading: asyncio.TimerHandle | None = None
        self._stalling: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own has it
        """Begin to wait for a request. A connection that is far too many is closed again."""
        super().connection_made(transport)
        if self.limit_concurrency is not None and len(self.connections) > self.limit_concurrency + _BEYOND:
            transport.abort()
            return
        self._heading = self.loop.call_later(HEAD_S, transport.close)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop all timers of the connection."""
        self._head_came()
        self._was_taken()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take more of a request."""
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:  # the head is there; bodies are waited for elsewhere
            self._head_came()
        elif self._heading is None and not self.transport.is_closing():
            self._heading = self.loop.call_later(HEAD_S, self.transport.close)

    def _head_came(self) -> None:
        if self._heading is not None:
            self._heading.cancel()
            self._heading = None

    def pause_writing(self) -> None:
        """Begin to watch a client that does not take its answer as fast as it is made."""
        super().pause_writing()
        self._watch(self.transport.get_write_buffer_size())

    def _watch(self, left_bytes: int) -> None:
        self._stalling = self.loop.call_later(STALLED_S, self._look, left_bytes)

    def _look(self, before_bytes: int) -> None:
        left_bytes = self.transport.get_write_buffer_size()
        if before_bytes - left_bytes < STALLED_S * _LEAST_RATE:
            self.transport.abort()
        else:
            self._watch(left_bytes)

    def resume_writing(self) -> None:
        """Stop watching a client that has taken nearly all of its answer."""
        super().resume_writing()
        self._was_taken()
        if self.transport.is_closing():
            self._stalling = self.loop.call_later(STALLED_S, self.transport.abort)

    def _was_taken(self) -> None:
        if self._stalling is not None:
            self._stalling.cancel()
            self._stalling = None

    def timeout_keep_alive_handler(self) -> None:
        """Close an idle connection. Closing would wait for the rest of an answer to be taken, so that is dropped."""
        super().timeout_keep_alive_handler()
        if self._stalling is None and self.transport.get_write_buffer_size():
            self.transport.abort()


def max_connections() -> int:
    """Number of connections that may be open, with as many descriptors as this process may have."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST_CONNECTIONS if soft == resource.RLIM_INFINITY else max(1, min(MOST_CONNECTIONS, (soft - _OWN) // 2))


def raise_file_limit() -> None:
    """Let this process have as many descriptors as connections need, as far as the system allows it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * MOST_CONNECTIONS + _OWN
    if soft != resource.RLIM_INFINITY and soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
