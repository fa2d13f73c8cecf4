"""What of Gradio can be reached: what its page needs, and nothing else.

Gradio also takes uploads without end into a folder that all its apps share, hands out files by their paths, fetches
addresses for whoever asks, and keeps what was asked before. None of this is needed here: uploads and downloads go the
way of the service's own.
"""

from __future__ import annotations

import asyncio
import re
import time

from starlette.datastructures import Headers, MutableHeaders
from starlette.routing import Match, Mount
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from overtone.errors import Code, RefusedError
from overtone.system.memory import KIB

MOST_BYTES = 512 * KIB
"""Of the body of a message to Gradio: the names of files and some options."""

MOST_S = 15.0
"""Seconds in which all of it has to come."""

_READ = re.compile(
    r"/|/config/?|/theme\.css|/favicon\.ico|/robots\.txt|/(?:assets|static|svelte)/.+|/logout|"
    r"/gradio_api/(?:app_id|startup-events|queue/data|heartbeat/[A-Za-z0-9]+)/?"
)
_WRITTEN = re.compile(r"/login/?|/gradio_api/(?:queue/join|cancel|reset)/?")

_POLICY = "; ".join((
    "default-src 'self'",
    # Gradio builds its functions and styles from text.
    "script-src 'self' 'unsafe-inline' 'unsafe-eval'",
    "style-src 'self' 'unsafe-inline'",
    "img-src 'self' data: blob:",
    "media-src 'self' blob:",
    "font-src 'self' data:",
    "worker-src 'self' blob:",
    "object-src 'none'",
    "base-uri 'self'",
    "form-action 'self'",
    "frame-ancestors 'self'",
))  # fmt: skip
"""A browser that keeps to this sends nothing of the page, or of who looks at it, to anybody else."""


class Gate(Mount):
    """The page's place among the routes. What it does not let through is for the routes of the service to refuse."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Whether a request is for the page."""
        return super().matches(scope) if let_through(scope) else (Match.NONE, {})


def let_through(scope: Scope) -> bool:
    """Whether the page needs a request like that."""
    if scope["type"] != "http":
        return False
    allowed = {"GET": _READ, "HEAD": _READ, "POST": _WRITTEN}.get(scope["method"], _NOTHING)
    return allowed.fullmatch(path_of(scope)) is not None


def path_of(scope: Scope) -> str:
    """The path of a request, from where the service is mounted."""
    path: str = scope["path"].removeprefix(scope.get("root_path", "").rstrip("/"))
    return path


_NOTHING = re.compile(r"(?!)")


class Bounded:
    """Around Gradio's app: bodies bounded in bytes and time, and headers that keep the page to itself."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request. RefusedError: too_large, upload_timeout."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        announced = Headers(scope=scope).get("content-length", "0")
        if announced.isdecimal() and int(announced) > MOST_BYTES:
            raise _too_large()
        body = _BoundedBody(receive)

        async def guarded(message: Message) -> None:
            if body.refusal is not None:
                return  # FastAPI would say of it that it cannot be parsed
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["Content-Security-Policy"] = _POLICY
                headers["X-Content-Type-Options"] = "nosniff"
                headers["Referrer-Policy"] = "no-referrer"
            await send(message)

        await self._app(scope, body.receive, guarded)
        if body.refusal is not None:
            raise body.refusal


class _BoundedBody:
    """A request's body, which ends in an error where it is too large or too slow; `refusal` is that error."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._read_bytes, self._read_all = 0, False
        self._until = time.monotonic() + MOST_S
        self.refusal: RefusedError | None = None

    async def receive(self) -> Message:
        """Receive the next piece."""
        if self._read_all:  # what comes now is that the client has gone
            return await self._receive()
        try:
            message = await asyncio.wait_for(self._receive(), max(0.0, self._until - time.monotonic()))
        except asyncio.TimeoutError:
            self.refusal = RefusedError("the message did not come in time.", code=Code.UPLOAD_TIMEOUT)
            raise self.refusal from None
        self._read_all = not message.get("more_body", False)
        self._read_bytes += len(message.get("body", b""))
        if self._read_bytes > MOST_BYTES:
            self.refusal = _too_large()
            raise self.refusal
        return message


def _too_large() -> RefusedError:
    return RefusedError("that is more than the page ever sends.", code=Code.TOO_LARGE)
