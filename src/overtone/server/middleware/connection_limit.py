"""ASGI middleware: how much may be under way at once, in all and for one client, with places kept for probes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from starlette.types import ASGIApp, Receive, Scope, Send

from overtone.errors import Code, RefusedError
from overtone.server.middleware.places import network_of

PROBES = frozenset({"/healthz", "/readyz", "/metrics"})
"""Routes by which machines see whether the service is well. They have separate places."""

_RETRY_S = 1.0


@dataclass(frozen=True, slots=True)
class ConcurrencyLimits:
    """Requests, streams and open pages at once: all together, those of one client, those of `PROBES`."""

    most: int
    of_client: int
    probes: int

    @classmethod
    def within(cls, connections: int, of_client: int) -> ConcurrencyLimits:
        """The limits where so many connections may be open. An eighth of those is kept for connections that are
        idle, so that there always is one to close for the next that comes, and for probes."""
        return cls(connections - max(1, connections // 8), of_client, max(2, connections // 64))


class ConnectionLimit:
    """Wrapper of an ASGI app that refuses requests beyond its limits: RefusedError (busy).

    A client is the address that uvicorn says: the one that a trusted proxy forwards, or the connection's own.
    """

    def __init__(self, app: ASGIApp, limits: ConcurrencyLimits) -> None:
        self._app, self._limits = app, limits
        self._clients: Counter[str] = Counter()
        self._under_way = self._probing = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request or stream."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http" and scope["path"] in PROBES:
            with self._probe():
                await self._app(scope, receive, send)
        else:
            with self._request((scope.get("client") or ("",))[0]):
                await self._app(scope, receive, send)

    @contextmanager
    def _probe(self) -> Iterator[None]:
        if self._probing >= self._limits.probes:
            raise _busy(f"{self._limits.probes} requests about the service itself are answered at once")
        self._probing += 1
        try:
            yield
        finally:
            self._probing -= 1

    @contextmanager
    def _request(self, address: str) -> Iterator[None]:
        client = network_of(address)
        if self._clients.get(client, 0) >= self._limits.of_client:
            raise _busy(f"a client may have {self._limits.of_client} requests, streams and pages at once")
        if self._under_way >= self._limits.most:
            raise _busy(f"{self._limits.most} requests, streams and pages are under way")
        self._clients[client] += 1
        self._under_way += 1
        try:
            yield
        finally:
            self._under_way -= 1
            self._clients[client] -= 1
            if not self._clients[client]:
                del self._clients[client]


def _busy(why: str) -> RefusedError:
    return RefusedError(f"{why}; ask again in a second.", code=Code.BUSY, retry_after_s=_RETRY_S)
