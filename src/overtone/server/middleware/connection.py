"""`Connection`: one client's connection under uvicorn, whose own waits for ever for a client that says nothing, or asks
and does not read, takes what two programs may read in two ways, and drops what a half-closed client waits for."""

from __future__ import annotations

import asyncio
import logging
from http import HTTPStatus
from typing import Any, cast

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from overtone.errors import Code, RefusedError
from overtone.server.api import problems
from overtone.server.middleware.early_status import EarlyStatus
from overtone.server.middleware.framing import FramingError, RequestFraming
from overtone.server.middleware.places import Places
from overtone.server.observability.logs import new_request_id

HEAD_S = 10.0
"""Seconds from a connection, or the first byte of a further request, until the whole head of the request is there."""

STALLED_S = 30.0
"""Seconds between two looks at an answer that its client is slow to take."""

_LEAST_RATE = 4096
"""Bytes per second, on average, in which answers that do not fit into the system's buffers have to be taken."""

ENDLESS = "endless"
"""Set in the state of a request's scope by whoever answers it with events, of which there may always be more."""

UPGRADED = "upgraded"
"""In the state of a WebSocket's scope, a function to call once the app has been asked: from then on it is one of the
live streams, which have their limit."""

_LOG = logging.getLogger("overtone.server.requests")


class Connection(H11Protocol):
    """One connection, with an end to the time its client is waited for. places: all that are open."""

    def __init__(self, *args: Any, places: Places[Connection], **named: Any) -> None:
        super().__init__(*args, **named)
        self._places = places
        self._framing = RequestFraming()
        self._unreadable: FramingError | None = None
        self._half_closed = False
        self._early: EarlyStatus | None = None
        self._heading: asyncio.TimerHandle | None = None
        self._stalling: asyncio.TimerHandle | None = None
        self._upgrading: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own has it
        """Begin to wait for a request. Where there is no place left, the connection that is idle longest is closed."""
        super().connection_made(transport)
        closed = self._places.enter(self, self.client[0] if self.client else "")
        if closed is not None:
            closed.transport.abort()
        if closed is not self:
            self._heading = self.loop.call_later(HEAD_S, transport.close)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop all timers of the connection."""
        self._places.leave(self)
        self._head_came()
        self._was_taken()
        if self._early is not None:
            self._early.stop()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take more of a request. One that cannot be read is refused once those before it are answered."""
        if self._unreadable is not None or self.transport.is_closing():
            return
        try:
            self._framing.feed(data)
        except FramingError as error:
            self._take(data[: error.complete_bytes])
            self._unreadable = error
            self._refuse()
        else:
            self._take(data)

    def _take(self, data: bytes) -> None:
        if data:
            super().data_received(data)
        if self._upgrading is not None:
            return
        if self.conn.their_state is not h11.IDLE:  # the head is there; bodies are waited for elsewhere
            self._head_came()
            self._places.work(self)
        elif self._heading is None and not self.transport.is_closing():
            self._heading = self.loop.call_later(HEAD_S, self.transport.close)

    def _head_came(self) -> None:
        if self._heading is not None:
            self._heading.cancel()
            self._heading = None

    @property
    def _under_way(self) -> RequestResponseCycle | None:
        """The request that is not answered yet."""
        cycle = cast(RequestResponseCycle | None, self.cycle)
        return None if cycle is None or cycle.response_complete else cycle

    def _refuse(self) -> None:
        """Answer what cannot be read with 400, and close."""
        if self.transport.is_closing() or self.transport.get_protocol() is not self or self._unreadable is None:
            return
        cycle = self._under_way
        if cycle is not None and not cycle.more_body:
            self.flow.pause_reading()  # that one is answered first
            return
        self._head_came()
        self._unset_keepalive_if_required()
        if cycle is not None:  # its body is what cannot be read
            cycle.disconnected = True
            cycle.message_event.set()
            if cycle.response_started:
                self.transport.abort()
                return
        id, code, reason = new_request_id(None), str(Code.BAD_REQUEST), str(self._unreadable)
        _LOG.info("refused", extra={"request_id": id, "status": 400, "code": code, "reason": reason})
        self.transport.write(_refusal(reason, id))
        self.transport.close()

    def on_response_complete(self) -> None:
        """An answer has been made: go on to what was sent after its request."""
        super().on_response_complete()
        if self._under_way is not None:
            return
        self._places.wait(self)  # where it is closing, too: its client may be slow to take what it was sent
        if self.transport.is_closing():
            return
        if self._unreadable is not None:
            self._refuse()
        elif self._half_closed:
            self.transport.close()

    def eof_received(self) -> bool | None:  # type: ignore[override]  # uvicorn's own closes always
        """The client sends no more. True, which keeps the connection open, where it has sent a whole request and may
        wait for its answer. One that watches events has gone: they have no end to be waited for."""
        cycle = self._under_way
        whole = self._framing.between or self._unreadable is not None
        if cycle is None or cycle.more_body or not whole or self.transport.is_closing():
            return None
        if cycle.response_started and cycle.scope["state"].get(ENDLESS):
            return None
        if not (self._half_closed or cycle.response_started):
            self._early = EarlyStatus(self.transport, self.loop)
            cycle.transport = cast(asyncio.Transport, self._early)
        self._half_closed = True
        return True

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        """Hand the connection over, if its request has no body. It keeps its place, as an idle one, until the app is
        asked: what the next protocol cannot read, that leaves without an answer for ever."""
        self._head_came()
        headers = dict(event.headers)
        if b"transfer-encoding" in headers or int(headers.get(b"content-length", 0)):
            self._unreadable = FramingError("it asks for a WebSocket and has a body")
            self._refuse()
            return
        self._upgrading = self.loop.call_later(HEAD_S, self._not_upgraded)
        self.app_state = {**self.app_state, UPGRADED: self._was_upgraded}
        super().handle_websocket_upgrade(event)

    def _was_upgraded(self) -> None:
        if self._upgrading is not None:
            self._upgrading.cancel()
        self._places.leave(self)

    def _not_upgraded(self) -> None:
        self._places.leave(self)
        self.transport.abort()

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


def _refusal(reason: str, id: str) -> bytes:
    """The answer to a request that cannot be read, as it goes out. id: by which the log knows it."""
    told = RefusedError(f"the request cannot be read in one way only: {reason}.", code=Code.BAD_REQUEST)
    response = problems.problem_response(told, id)
    headers = [*response.raw_headers, (b"x-request-id", id.encode()), (b"connection", b"close")]
    status = HTTPStatus(response.status_code)
    lines = [f"HTTP/1.1 {status} {status.phrase}".encode(), *(b": ".join(header) for header in headers), b"", b""]
    return b"\r\n".join(lines) + bytes(response.body)
