"""The process that serves: uvicorn, signals, draining, and how it ends."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import logging
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType

import uvicorn

from overtone.errors import ModelError, UsageError
from overtone.server.app import create_app, wrapped
from overtone.server.inference.models import ModelSet
from overtone.server.middleware.requests import RequestMiddleware
from overtone.server.middleware.slow_clients import Connection, max_connections, raise_file_limit
from overtone.server.settings import Settings
from overtone.server.state import Server

_LOG = logging.getLogger("overtone.server")

_BACKLOG = 128
"""Connections that the system keeps until they are taken. So many are taken at once, before any of them is counted."""

_KEEP_ALIVE_S = 15

_FLUSH_S = 3
"""For answers that are on their way out when all else is finished."""

_LOOK_S = 0.05

_WS_MESSAGE_BYTES = 1 << 20
"""Half a minute of PCM16 in one message; larger ones are refused."""


def serve(settings: Settings, start: Callable[[], ModelSet], told: Callable[[str], None]) -> None:
    """Serve until a signal ends it. told: is given the address once requests are taken.

    Raises UsageError where the address is not to be had, what loading the model raises, and ModelError when it died for
    good.
    """
    raise_file_limit()
    with contextlib.closing(listen(settings)) as listening:
        asyncio.run(_serve(settings, start, told, listening))


async def _serve(
    settings: Settings, start: Callable[[], ModelSet], told: Callable[[str], None], listening: socket.socket
) -> None:
    await serve_on(listening, Server(settings, start), told)


def listen(settings: Settings) -> socket.socket:
    """Bound before the model is loaded: who cannot have the address need not wait to hear it."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    # Named TCP, or asyncio does not know it is and leaves small answers waiting for the acknowledgement of others.
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((settings.host, settings.port))
    except OSError as error:
        sock.close()
        raise UsageError(
            f"--host {settings.host} --port {settings.port} is not to be had ({error.strerror}); give another port."
        ) from None
    return sock


async def serve_on(listening: socket.socket, server: Server, told: Callable[[str], None]) -> None:
    """Serve on a socket that is bound, until the server is told to end or its model has died; then close it.

    Signals are obeyed where this runs in the main thread. Raises as `serve`.
    """
    app = _app(server)
    running = _Uvicorn(_config(app), server)
    # Liveness and readiness are answered while the model loads.
    opening = asyncio.create_task(_open(server, running, told, _address(listening)))
    watching = asyncio.create_task(_end_with(server, running, app))
    try:
        await running.serve(sockets=[listening])
        opening.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await opening
    finally:
        watching.cancel()
        await server.close()
    if server.died.is_set():
        raise ModelError("the model died, and again after it was started anew; see the log.", code="died")


async def _open(server: Server, running: _Uvicorn, told: Callable[[str], None], address: str) -> None:
    try:
        await server.open()
    except BaseException:
        running.should_exit = True
        raise
    told(address)


async def _end_with(server: Server, running: _Uvicorn, app: RequestMiddleware) -> None:
    """End when the model has died, or when the server is told to and what was admitted is finished.

    Until then it listens: who comes is told that it is ending, and where a balancer asks, that it is not ready.
    """
    ends = [asyncio.create_task(event.wait()) for event in (server.died, server.service.draining)]
    try:
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        until = time.monotonic() + server.settings.grace_s
        while not (server.idle and not app.under_way) and not server.died.is_set() and time.monotonic() < until:
            await asyncio.sleep(_LOOK_S)
        running.should_exit = True
    finally:
        for end in ends:
            end.cancel()


def _address(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _app(server: Server) -> RequestMiddleware:
    app = create_app(server)
    if server.settings.page and importlib.util.find_spec("gradio") is not None:
        from overtone.server.ui import mount

        app = mount(app, server)
    return wrapped(app, server)


def _config(app: RequestMiddleware) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=True,
        lifespan="on",
        http=Connection,
        limit_concurrency=max_connections(),
        backlog=_BACKLOG,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=_FLUSH_S,
        ws_max_size=_WS_MESSAGE_BYTES,
        # A stream that is ahead of the clock is not read for a while, not even for the answer to a ping, and one that
        # says nothing is closed without them.
        ws_ping_interval=None,
        ws_per_message_deflate=False,
        h11_max_incomplete_event_size=32 << 10,
    )


class _Uvicorn(uvicorn.Server):
    """Says that it is ending as soon as it is told to: new requests are refused while those admitted are finished."""

    def __init__(self, config: uvicorn.Config, server: Server) -> None:
        super().__init__(config)
        self._server = server

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Have signals handled by the loop. Uvicorn's own raises them again at the end, though they were obeyed."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        try:
            yield
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A signal came; a second Ctrl-C ends it at once."""
        if self._server.service.draining.is_set():
            if sig == signal.SIGINT:
                self.should_exit = self.force_exit = True
            return
        _LOG.warning("told to end: what was admitted is finished first")
        self._server.drain()
