"""A client that has sent all it had to say: whether it waits for its answer, or has gone.

A socket that is half closed and one that is closed look alike: both say that nothing more will come. They differ once
something is sent. What every answer begins with is sent a letter at a time, before the answer is known: a client that
waits reads it as the beginning of its answer, and the system of one that has gone refuses it.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Any

_START = b"HTTP/1.1 "

_FIRST_LOOK_S = 0.05

_LONGEST_LOOK_S = 16.0
"""Seconds between two looks, which double. All letters are sent after half a minute; from then on a client that goes is
noticed only by the answer that it does not take."""


class EarlyStatus:
    """A connection's transport once its client has half closed it: the answer is written as to any other."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport, self._loop = transport, loop
        self._sent = 0
        self._answered = False
        self._next = _FIRST_LOOK_S
        self._timer: asyncio.TimerHandle | None = None
        self._probe()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Write what belongs to the answer, without what of its beginning has been sent."""
        if not self._answered:
            self._answered = True
            self.stop()
            data = data.removeprefix(_START[: self._sent])
        self._transport.write(data)

    def stop(self) -> None:
        """Look no more whether the client is there."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _probe(self) -> None:
        if self._sent < len(_START):
            self._transport.write(_START[self._sent : self._sent + 1])
            self._sent += 1
        self._timer = self._loop.call_later(self._next, self._look)
        self._next = min(2 * self._next, _LONGEST_LOOK_S)

    def _look(self) -> None:
        self._timer = None
        if self._transport.is_closing():
            return
        connection = self._transport.get_extra_info("socket")
        if connection is not None and connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self._transport.abort()
        else:
            self._probe()
