"""What of Gradio can be reached: what its page needs, and nothing else.

Gradio also takes uploads without end into a folder that all its apps share, hands out files by their paths, fetches
addresses for whoever asks, and keeps what was asked before. None of this is needed here: uploads and downloads go the
way of the service's own.
"""

from __future__ import annotations

import re

from starlette.datastructures import Headers, MutableHeaders
from starlette.routing import Match, Mount
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from overtone.errors import RefusedError
from overtone.system.memory import KIB

MOST_BYTES = 512 * KIB
"""Of the body of a message to Gradio: the names of files and some options."""

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
    path = scope["path"].removeprefix(scope.get("root_path", "").rstrip("/"))
    return {"GET": _READ, "HEAD": _READ, "POST": _WRITTEN}.get(scope["method"], _NOTHING).fullmatch(path) is not None


_NOTHING = re.compile(r"(?!)")


class Bounded:
    """Around Gradio's app: bounded bodies, and headers that keep the page to itself."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request. RefusedError (too_large)."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        announced = Headers(scope=scope).get("content-length", "0")
        if announced.isdecimal() and int(announced) > MOST_BYTES:
            raise _too_large()
        read_bytes = 0

        async def bounded() -> Message:
            nonlocal read_bytes
            message = await receive()
            read_bytes += len(message.get("body", b""))
            if read_bytes > MOST_BYTES:
                raise _too_large()
            return message

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["Content-Security-Policy"] = _POLICY
                headers["X-Content-Type-Options"] = "nosniff"
                headers["Referrer-Policy"] = "no-referrer"
            await send(message)

        await self._app(scope, bounded, guarded)


def _too_large() -> RefusedError:
    return RefusedError("that is more than the page ever sends.", code="too_large")
