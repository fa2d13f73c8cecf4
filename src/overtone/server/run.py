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
from functools import partial
from types import FrameType

import uvicorn

from overtone.errors import Code, ModelError, UsageError
from overtone.server.app import create_app, wrapped
from overtone.server.descriptors import DECODERS, backlog, max_connections, raise_file_limit
from overtone.server.inference.models import ModelSet
from overtone.server.middleware.connection import Connection
from overtone.server.middleware.framing import MOST_HEAD_BYTES
from overtone.server.middleware.places import Places, TrustedProxies
from overtone.server.middleware.requests import RequestMiddleware
from overtone.server.settings import Settings
from overtone.server.state import Server
from overtone.system.memory import format_size
from overtone.wording import param, speaking_to

_LOG = logging.getLogger("overtone.server")

_KEEP_ALIVE_S = 15

_SPARE_OF_CLIENT = 64
"""Connections that one address may have beyond what it may have under way: idle ones, probes, and refusals."""

_FLUSH_S = 3
"""For answers that are on their way out when all else is finished."""

_LOOK_S = 0.05

_WS_MESSAGE_BYTES = 1 << 20
"""Half a minute of PCM16 in one message; larger ones are refused."""


def serve(settings: Settings, start: Callable[[], ModelSet], decoders: int = DECODERS) -> None:
    """Serve until a signal ends it. A line of the log says when requests are taken.

    decoders: processes that decode, which need descriptors too. Raises UsageError where the address is not to be had or
    the system allows too few open files, what loading the model raises, and ModelError when it died for good.
    """
    raise_file_limit()
    most = max_connections(decoders, settings.jobs_at_once, settings.live_streams)
    with contextlib.closing(listen(settings)) as listening:
        asyncio.run(_serve(settings, start, listening, most))
    _LOG.info("ended")


async def _serve(settings: Settings, start: Callable[[], ModelSet], listening: socket.socket, most: int) -> None:
    await serve_on(listening, Server(settings, start), most=most)


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
            f"{param('host', settings.host)} {param('port', settings.port)} is not to be had ({error.strerror}); give "
            "another address or port."
        ) from None
    return sock


async def serve_on(
    listening: socket.socket,
    server: Server,
    ready: Callable[[str], None] = lambda address: None,
    most: int | None = None,
) -> None:
    """Serve on a socket that is bound, until a signal ends it or its model has died; then close it.

    ready: called with the address once requests are taken. most: connections that may be open; None for as many as this
    process may have. Signals are obeyed where this runs in the main thread. Raises as `serve`.
    """
    if most is None:
        most = max_connections(DECODERS, server.settings.jobs_at_once, server.settings.live_streams)
    app = _app(server, most)
    running = _Uvicorn(_config(app, most, server.settings.client_requests), server)
    # Liveness and readiness are answered while the model loads.
    opening = asyncio.create_task(_open(server, running, ready, _address(listening)))
    watching = asyncio.create_task(_end_with(server, running, app))
    try:
        with speaking_to("http"):  # in the tasks of its connections
            await running.serve(sockets=[listening])
        opening.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await opening
    finally:
        watching.cancel()
        await server.close()
    if server.died.is_set():
        raise ModelError("the model died, and again after it was started anew; see the log.", code=Code.DIED)


async def _open(server: Server, running: _Uvicorn, ready: Callable[[str], None], address: str) -> None:
    try:
        await server.open()
    except BaseException:
        running.should_exit = True
        raise
    _log_ready(server, address, page=_has_page(server))
    ready(address)


def _log_ready(server: Server, address: str, *, page: bool) -> None:
    state = server.snapshot()
    fields = {
        "model": state.model,
        "transcriber": state.transcriber or None,
        "precision": state.precision,
        "device": state.device,
        "memory": state.memory_budget_bytes,
        "address": address,
        "page": f"{address}/" if page else None,
    }
    models = f"{state.model}, {state.transcriber}" if state.transcriber else state.model
    memory = format_size(state.memory_budget_bytes)
    _LOG.info(
        "ready: listening on %s with %s in %s on %s, within %s",
        *(address, models, state.precision, state.device, memory),
        extra={name: value for name, value in fields.items() if value is not None or name == "page"},
    )


async def _end_with(server: Server, running: _Uvicorn, app: RequestMiddleware) -> None:
    """End when the model has died, or at a signal once the admitted work is finished.

    Until then it listens: new requests are refused because it is ending, and a balancer hears that it is not ready.
    """
    ends = [asyncio.create_task(event.wait()) for event in (server.died, server.service.draining)]
    try:
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        until = time.monotonic() + server.settings.grace_s
        while not (server.idle and not app.in_flight) and not server.died.is_set() and time.monotonic() < until:
            await asyncio.sleep(_LOOK_S)
        running.should_exit = True
    finally:
        for end in ends:
            end.cancel()


def _address(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _app(server: Server, most: int) -> RequestMiddleware:
    app = create_app(server)
    if _has_page(server):
        from overtone.server.ui import mount

        app = mount(app, server, most)
    return wrapped(app, server, most)


def _has_page(server: Server) -> bool:
    return server.settings.page and importlib.util.find_spec("gradio") is not None


def _config(app: RequestMiddleware, most: int, of_client: int) -> uvicorn.Config:
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=True,
        lifespan="on",
        backlog=backlog(most),
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=_FLUSH_S,
        ws_max_size=_WS_MESSAGE_BYTES,
        # A stream that is ahead of the clock is not read for a while, not even for the answer to a ping, and one that
        # says nothing is closed without them.
        ws_ping_interval=None,
        ws_per_message_deflate=False,
        h11_max_incomplete_event_size=2 * MOST_HEAD_BYTES,
    )
    # What a client has under way is limited where it is known who that is: behind a proxy by what that forwards.
    proxies = TrustedProxies(config.forwarded_allow_ips)
    places: Places[Connection] = Places(most, of_client + _SPARE_OF_CLIENT, proxies.__contains__)
    config.http = partial(Connection, places=places)  # type: ignore[assignment]  # it only has to make one
    return config


class _Uvicorn(uvicorn.Server):
    """A server that says it is ending as soon as a signal comes: new requests are refused while those admitted are
    finished."""

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
