"""ASGI middleware: request id, latency, access log, metrics, origin check."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import time
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from overtone.errors import Code, OvertoneError, RefusedError
from overtone.server.api import problems
from overtone.server.middleware.connection import ENDLESS, UPGRADED
from overtone.server.middleware.connection_limit import PROBES
from overtone.server.middleware.origins import OriginPolicy
from overtone.server.middleware.targets import to_origin_form
from overtone.server.observability.logs import new_request_id, set_request_id
from overtone.server.observability.metrics import Metrics

_LOG = logging.getLogger("overtone.server.requests")

_DRAINED_BYTES = 1 << 20
"""Bytes of an unwanted body that are read before the refusal is sent: a client that is still sending when the
connection is closed under it may never see why. A larger body is cut off."""

_DRAINED_S = 0.25
"""Seconds that are waited for each piece of it."""

_DRAINING_S = 3.0
"""Seconds that all of its pieces may take: one that trickles would keep its connection for ever."""

_DRAINED_AT_ONCE = 32
"""Refused requests that are read at once. Of others the connection is closed: refusals are not to hold the service."""

_EVENTS = b"text/event-stream"

_PAGES = "/gradio_api/"
"""Connections of an open page, which last as long as it is looked at and say nothing of how fast answers are."""


class RequestMiddleware:
    """Wrapper of an ASGI app.

    - `origins`: the check of callers from a browser.
    - `in_flight`: requests that are not answered yet.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics, origins: OriginPolicy) -> None:
        self._app, self._metrics, self._origins = app, metrics, origins
        self._draining = asyncio.Semaphore(_DRAINED_AT_ONCE)
        self.in_flight = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        to_origin_form(scope)
        if (upgraded := scope.get("state", {}).pop(UPGRADED, None)) is not None:
            upgraded()
        given = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"x-request-id"), None)
        request = _RequestScope(scope, receive, send, new_request_id(given), self._draining)
        set_request_id(request.id)
        began = time.perf_counter()
        counts = scope["path"].startswith("/v1/")  # the page's own connections last as long as it is looked at
        self.in_flight += counts
        try:
            self._origins.check(scope)
            await self._app(scope, request.receive, request.send)
        except asyncio.CancelledError:
            # By the end of the service and nothing else: the time to finish what was admitted is over.
            if request.status or scope["type"] != "http":
                raise
            await request.refuse(
                RefusedError("the service ended before it was answered; ask again later.", code=Code.NOT_READY)
            )
        except Exception as error:  # noqa: BLE001 - nothing may go unanswered
            if not isinstance(error, OvertoneError):
                _LOG.exception("a fault of the service")
            await request.refuse(error)
        finally:
            self.in_flight -= counts
            self._told(scope, request, time.perf_counter() - began)
            set_request_id(None)

    def _told(self, scope: Scope, request: _RequestScope, elapsed_s: float) -> None:
        state = scope.get("state", {})
        route = getattr(scope.get("route"), "path", None)
        method = "WEBSOCKET" if scope["type"] == "websocket" else scope["method"]
        status = request.status or (101 if scope["type"] == "websocket" else 500)
        if not scope["path"].startswith(_PAGES):
            self._metrics.request(route, method, status, elapsed_s)
        code = state.get("refused")
        if code is not None:
            self._metrics.refused(code)
        # Machines ask probes every few seconds, and a page for its files: both are logged only where they fail.
        if status < 400 and (route in PROBES or not scope["path"].startswith("/v1/")):
            return
        fields: dict[str, Any] = {"method": method, "route": route, "status": status, "ms": round(1000 * elapsed_s, 2)}
        if (owner := state.get("owner")) is not None:
            fields["key"] = owner
        if code is not None:
            fields["code"] = code
        if (timings := state.get("timings")) is not None:
            fields["stages"] = {name: value for name, value in dataclasses.asdict(timings).items() if name != "notes"}
        _LOG.log(logging.WARNING if status >= 500 else logging.INFO, "answered", extra=fields)


class _RequestScope:
    """One request as it is seen from outside."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, id: str, draining: asyncio.Semaphore) -> None:
        self._scope, self._receive, self._send = scope, receive, send
        self._draining = draining
        self.id = id
        self.status = 0
        # A request without a body has been read with its head, and its connection is good for the next one.
        self._read_all = scope["type"] != "http" or not _has_body(scope)
        self._asks_first = not self._read_all and any(name == b"expect" for name, _ in scope["headers"])
        self._drained = 0

    async def receive(self) -> Message:
        """Receive as the server gives it."""
        self._asks_first = False
        message = await self._receive()
        if message["type"] != "http.request" or not message.get("more_body"):
            self._read_all = True
        return message

    async def send(self, message: Message) -> None:
        """Send as the app does, with the request's id."""
        if message["type"] in ("http.response.start", "websocket.http.response.start"):
            self.status = message["status"]
            headers = [*message.get("headers", ()), (b"x-request-id", self.id.encode())]
            if any(name.lower() == b"content-type" and value.startswith(_EVENTS) for name, value in headers):
                self._scope.setdefault("state", {})[ENDLESS] = True
            if not self._read_all:
                if self.status >= 400 and not self._draining.locked():
                    async with self._draining:
                        await self._drain()
                if not self._read_all:  # what is left of the body is not waited for
                    headers.append((b"connection", b"close"))
            message = {**message, "headers": headers}
        await self._send(message)

    async def _drain(self) -> None:
        end = time.monotonic() + _DRAINING_S
        # Who asked whether to send (`Expect: 100-continue`) is told no, and not to go on, which reading would say.
        while not (self._read_all or self._asks_first) and self._drained < _DRAINED_BYTES and time.monotonic() < end:
            try:
                message = await asyncio.wait_for(self.receive(), _DRAINED_S)
            except asyncio.TimeoutError:
                return
            self._drained += len(message.get("body", b""))

    async def refuse(self, error: Exception) -> None:
        """Answer with an error, if nothing was sent yet."""
        if self.status:
            return
        self._scope.setdefault("state", {})["refused"] = problems.code_of(error)
        if self._scope["type"] == "http":
            await problems.problem_response(error, self.id, self._scope["path"])(self._scope, self.receive, self.send)
        elif "websocket.http.response" in self._scope.get("extensions", {}):
            await WebSocket(self._scope, self.receive, self.send).send_denial_response(
                problems.problem_response(error, self.id)
            )


def _has_body(scope: Scope) -> bool:
    """True if a request's head announces a body."""
    return any(
        name == b"transfer-encoding" or (name == b"content-length" and value.strip() != b"0")
        for name, value in scope["headers"]
    )
