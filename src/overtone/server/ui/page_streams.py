"""Connections that a page keeps open for as long as it is looked at: who may have one, how many, and for how long."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections import Counter
from collections.abc import Callable
from typing import Any

from starlette.datastructures import QueryParams
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from overtone.errors import Code, RefusedError
from overtone.server.middleware.places import network_of
from overtone.server.ui.door import Door
from overtone.server.ui.gate import path_of
from overtone.server.ui.sessions import MOST, Sessions

_HEARTBEAT = re.compile(r"/gradio_api/heartbeat/([A-Za-z0-9]+)/?")

_DATA = re.compile(r"/gradio_api/queue/data/?")

OF_CLIENT = 128
"""Connections of the open pages of one address: one for each, and another while it waits for an answer."""

OPENED_S = 60.0
"""Seconds from a page's first connection until it has said that it is there. It does so as soon as it is drawn."""

_LOOK_S = 20.0
"""Seconds between two looks whether a page is still known."""


class PageStreams:
    """Wrapper of Gradio's app: its streams, of which some never end by themselves, end with the page that they are of.

    user_of: who signed in, by a request's cookies. most: streams at once. opened_s, look_s: as the constants, but for
    tests.
    """

    def __init__(
        self,
        app: ASGIApp,
        sessions: Sessions,
        door: Door,
        user_of: Callable[[Scope], str | None],
        *,
        most: int = MOST,
        opened_s: float = OPENED_S,
        look_s: float = _LOOK_S,
    ) -> None:
        self._app, self._sessions, self._door, self._user_of = app, sessions, door, user_of
        self._most, self._opened_s, self._look_s = most, opened_s, look_s
        self._open: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request. RefusedError: unauthorized, where a key is needed and nobody signed in; busy."""
        browser = _browser_of(scope)
        if browser is None:
            await self._app(scope, receive, send)
            return
        if self._door.locked:
            self._door.owner(self._user_of(scope))
        client = network_of((scope.get("client") or ("",))[0])
        if self._open.get(client, 0) >= OF_CLIENT or self._open.total() >= self._most:
            raise RefusedError("too many pages are open; close some.", code=Code.BUSY, retry_after_s=_LOOK_S)
        self._open[client] += 1
        try:
            await self._stream(browser, scope, receive, send)
        finally:
            self._open[client] -= 1
            if not self._open[client]:
                del self._open[client]

    async def _stream(self, browser: str, scope: Scope, receive: Receive, send: Send) -> None:
        begun = ended = False

        async def noted(message: Message) -> None:
            nonlocal begun, ended
            begun = True
            ended = message["type"] == "http.response.body" and not message.get("more_body", False)
            await send(message)

        running = asyncio.ensure_future(_awaited(self._app(scope, receive, noted)))
        lapsing = asyncio.ensure_future(self._lapse(browser, scope))
        try:
            await asyncio.wait((running, lapsing), return_when=asyncio.FIRST_COMPLETED)
            if running.done():
                await running
                return
        finally:
            for task in (running, lapsing):
                task.cancel()
            await asyncio.gather(running, lapsing, return_exceptions=True)
        if begun and not ended:
            with contextlib.suppress(OSError):
                await send({"type": "http.response.body", "body": b""})

    async def _lapse(self, browser: str, scope: Scope) -> None:
        """Until the page is not known any more, or whoever signed in may not any more."""
        await asyncio.sleep(self._opened_s)
        while self._sessions.knows(browser):
            if self._door.locked:
                try:
                    self._door.owner(self._user_of(scope))
                except RefusedError:
                    return
            await asyncio.sleep(self._look_s)


def _browser_of(scope: Scope) -> str | None:
    """The browser whose page a stream is of; None for other requests."""
    if scope["type"] != "http":
        return None
    path = path_of(scope)
    if (found := _HEARTBEAT.fullmatch(path)) is not None:
        return found[1]
    return QueryParams(scope["query_string"]).get("session_hash", "") if _DATA.fullmatch(path) else None


async def _awaited(work: Any) -> None:
    await work
