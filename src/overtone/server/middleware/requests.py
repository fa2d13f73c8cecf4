"""The outermost layer of every request: its id, its clock, its line in the log, its place in the metrics."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import time
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from overtone.errors import OvertoneError, RefusedError
from overtone.server.api import problems
from overtone.server.middleware.origins import OriginPolicy
from overtone.server.observability.logs import new_request_id, set_request_id
from overtone.server.observability.metrics import Metrics

_LOG = logging.getLogger("overtone.server.requests")

_DRAINED_BYTES = 1 << 20
"""Of a body that is not wanted, so much is read before the refusal is sent: a client that is still sending when the
connection is closed under it may never see why. What is larger is cut off."""

_DRAINED_S = 0.25
"""Seconds that are waited for each piece of it."""

_DRAINING_S = 3.0
"""Seconds that all of its pieces may take: one that trickles would keep its connection for ever."""

_QUIET = frozenset({"/healthz", "/readyz", "/metrics"})
"""Asked every few seconds by machines, and logged only where they fail, as what belongs to the page is."""

_PAGES = "/gradio_api/"
"""Connections of an open page, which last as long as it is looked at and say nothing of how fast answers are."""


class RequestMiddleware:
    """Wraps an ASGI app. neighbours: who may call it from a browser.

    `under_way`: requests that are not answered yet.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics, neighbours: OriginPolicy) -> None:
        self._app, self._metrics, self._neighbours = app, metrics, neighbours
        self.under_way = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        given = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"x-request-id"), None)
        request = _RequestScope(scope, receive, send, new_request_id(given))
        set_request_id(request.id)
        began = time.perf_counter()
        counts = scope["path"].startswith("/v1/")  # the page's own connections last as long as it is looked at
        self.under_way += counts
        try:
            self._neighbours.check(scope)
            await self._app(scope, request.receive, request.send)
        except asyncio.CancelledError:
            # By the end of the service and nothing else: the time to finish what was admitted is over.
            if request.status or scope["type"] != "http":
                raise
            await request.refuse(
                RefusedError("the service ended before it was answered; ask again later.", code="not_ready")
            )
        except Exception as error:  # noqa: BLE001 - nothing may go unanswered
            if not isinstance(error, OvertoneError):
                _LOG.exception("a fault of the service")
            await request.refuse(error)
        finally:
            self.under_way -= counts
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
        if status < 400 and (route in _QUIET or not scope["path"].startswith("/v1/")):
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

    def __init__(self, scope: Scope, receive: Receive, send: Send, id: str) -> None:
        self._scope, self._receive, self._send = scope, receive, send
        self.id = id
        self.status = 0
        self._read_all = scope["type"] != "http"
        self._asks_first = not self._read_all and any(name == b"expect" for name, _ in scope["headers"])
        self._drained = 0

    async def receive(self) -> Message:
        """As the server gives it."""
        self._asks_first = False
        message = await self._receive()
        if message["type"] != "http.request" or not message.get("more_body"):
            self._read_all = True
        return message

    async def send(self, message: Message) -> None:
        """As the app sends it, with the request's id."""
        if message["type"] in ("http.response.start", "websocket.http.response.start"):
            self.status = message["status"]
            headers = [*message.get("headers", ()), (b"x-request-id", self.id.encode())]
            if not self._read_all:
                if self.status >= 400:
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
        """Tell of an error, if nothing was told yet."""
        if self.status:
            return
        self._scope.setdefault("state", {})["refused"] = problems.code_of(error)
        if self._scope["type"] == "http":
            await problems.problem_response(error, self.id, self._scope["path"])(self._scope, self.receive, self.send)
        elif "websocket.http.response" in self._scope.get("extensions", {}):
            await WebSocket(self._scope, self.receive, self.send).send_denial_response(
                problems.problem_response(error, self.id)
            )
