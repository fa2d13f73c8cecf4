"""Connections as sockets see them: requests that are unclear, clients that half close, vanish, or are too many."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from helpers.server.exposing import Source
from helpers.waiting import until
from overtone.server.middleware import connection as connection_module
from overtone.server.middleware.connection import Connection
from overtone.server.middleware.connection_limit import ConcurrencyLimits, ConnectionLimit
from overtone.server.middleware.origins import OriginPolicy
from overtone.server.middleware.places import Places
from overtone.server.middleware.requests import RequestMiddleware
from overtone.server.observability.metrics import Metrics

MOST = 16
"""Connections that the service of these tests has."""


class Service:
    """A small app behind the layers that every request goes through."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.gone = 0
        self.held = threading.Event()
        self.limits = ConcurrencyLimits.within(MOST, 8)
        origins = OriginPolicy((), private=False, host="127.0.0.1")
        app = RequestMiddleware(ConnectionLimit(self._app, self.limits), Metrics(Source()), origins)
        self.places: Places[Connection] = Places(MOST, MOST)
        config = uvicorn.Config(app, log_config=None, lifespan="off", backlog=MOST)
        config.http = partial(Connection, places=self.places)  # type: ignore[assignment]
        self._server = uvicorn.Server(config)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.address: tuple[str, int] = self._listening.getsockname()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._server.serve([self._listening])))

    async def _app(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        self.asked.append(path)
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept"})
            await receive()
            return
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if message["type"] == "http.disconnect":
                self.gone += 1
                return
            if not message["more_body"]:
                break
        kind = b"text/event-stream" if path == "/events" else b"text/plain"
        if path == "/held":
            ended = asyncio.ensure_future(receive())
            while not self.held.is_set():
                if ended.done():
                    self.gone += 1
                    return
                await asyncio.sleep(0.005)
            ended.cancel()
        headers, said = [(b"content-type", kind)], f"<{path} {len(body)}>".encode()
        if path != "/events":
            headers.append((b"content-length", str(len(said)).encode()))
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        if path == "/events":
            await send({"type": "http.response.body", "body": b"data: 1\n\n", "more_body": True})
            await receive()
            self.gone += 1
            return
        await send({"type": "http.response.body", "body": said})

    def __enter__(self) -> Service:
        self._thread.start()
        until(lambda: self._server.started)
        return self

    def __exit__(self, *raised: object) -> None:
        self.held.set()
        self._server.should_exit = True
        self._thread.join(10)

    def send(self, data: bytes) -> socket.socket:
        connection = socket.create_connection(self.address)
        connection.settimeout(20)
        connection.sendall(data)
        return connection

    def answers(self, data: bytes) -> bytes:
        """All that comes until the service closes."""
        with self.send(data) as connection:
            return rest(connection)


@pytest.fixture
def service() -> Iterator[Service]:
    with Service() as running:
        yield running


def rest(connection: socket.socket) -> bytes:
    told = b""
    with contextlib.suppress(ConnectionResetError):
        while piece := connection.recv(65536):
            told += piece
    return told


def get(path: str, more: str = "") -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: a\r\n{more}\r\n".encode()


CHUNKED = b"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
SMUGGLED = b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + get(
    "/smuggled"
)


@pytest.mark.parametrize(
    "data",
    [
        SMUGGLED,
        b"GET / HTTP/1.1\nHost: a\n\n" + get("/smuggled"),
        b"GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n" + get("/smuggled"),
        CHUNKED + b"5\nabcde\r\n0\r\n\r\n" + get("/smuggled"),
        CHUNKED + b"0\r\n\n" + get("/smuggled"),
        b"GET http://b:c@d/ HTTP/1.1\r\nHost: a\r\n\r\n" + get("/smuggled"),
    ],
)
def test_an_unclear_request_is_refused_and_its_connection_closed(service: Service, data: bytes) -> None:
    told = service.answers(data)
    head, _, body = told.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert b"\r\nconnection: close" in head
    assert b"application/problem+json" in head
    assert b'"code":"bad_request"' in body
    assert told.count(b"HTTP/1.1 ") == 1
    assert "/smuggled" not in service.asked


def test_a_request_by_its_whole_url_is_one_for_its_path(service: Service) -> None:
    told = service.answers(get("http://b:80/a?b=c") + get("HTTP://b", "Connection: close\r\n"))
    assert told.count(b"HTTP/1.1 200 ") == 2
    assert service.asked == ["/a", "/"]


def test_requests_before_an_unclear_one_are_answered(service: Service) -> None:
    told = service.answers(get("/a") + CHUNKED + b"3\r\nabc\r\n0\r\n\r\n" + SMUGGLED)
    assert [told.count(text) for text in (b"</a 0>", b"</a 3>", b"HTTP/1.1 400 ", b"HTTP/1.1 ")] == [1, 1, 1, 3]
    assert service.asked == ["/a", "/a"]


def test_a_request_whose_body_becomes_unclear_is_given_up(service: Service) -> None:
    with service.send(CHUNKED + b"3\r\nabc\r\n") as connection:
        until(lambda: service.asked)
        connection.sendall(b"x\r\n")
        assert rest(connection).startswith(b"HTTP/1.1 400 ")
    until(lambda: service.gone == 1)


def test_a_client_that_sends_no_more_gets_its_answer(service: Service) -> None:
    """At once, after a while, and to several requests."""
    for sent, answers in ((get("/a"), 1), (get("/held"), 1), (get("/held") + get("/a"), 2)):
        service.held.clear()
        with service.send(sent) as connection:
            connection.shutdown(socket.SHUT_WR)
            if b"held" in sent:
                assert connection.recv(1) == b"H"  # it has begun, and waits
                service.held.set()
                told = b"H" + rest(connection)
            else:
                told = rest(connection)
        assert told.startswith(b"HTTP/1.1 200 OK\r\n")
        assert told.count(b"HTTP/1.1 200 ") == told.count(b" 0>") == answers
    assert service.gone == 0


def test_a_client_that_closes_is_not_worked_for(service: Service) -> None:
    service.send(get("/held")).close()
    until(lambda: service.gone == 1)


def test_a_client_that_closes_after_a_while_is_noticed(service: Service) -> None:
    with service.send(get("/held")):
        until(lambda: service.asked)
    until(lambda: service.gone == 1)


@pytest.mark.parametrize("sent", [b"", b"GET /a HT", CHUNKED + b"5\r\nab", get("/a")[:-2]])
def test_half_of_a_request_is_none(service: Service, sent: bytes) -> None:
    with service.send(sent) as connection:
        connection.shutdown(socket.SHUT_WR)
        assert rest(connection) == b""


def test_who_watches_events_and_sends_no_more_has_gone(service: Service) -> None:
    with service.send(get("/events")) as connection:
        until(lambda: b"data: 1" in connection.recv(4096))
        connection.shutdown(socket.SHUT_WR)
        until(lambda: service.gone == 1)


def all_closed(connections: list[socket.socket]) -> Callable[[], bool]:
    def closed() -> bool:
        for connection in connections:
            connection.setblocking(False)
            with contextlib.suppress(BlockingIOError, ConnectionResetError):
                if connection.recv(1, socket.MSG_PEEK):
                    return False
                continue
        return True

    return closed


def test_idle_connections_make_room(service: Service) -> None:
    """Those that say nothing, half of a head, or nothing more."""
    with contextlib.ExitStack() as idle:
        for at in range(4 * MOST):
            idle.enter_context(service.send((b"", b"GET /a HT", get("/a"))[at % 3]))
        for _ in range(3):
            assert service.answers(get("/a", "Connection: close\r\n")).endswith(b"</a 0>")
        assert len(service.places) <= MOST


def test_streams_leave_places_for_probes(service: Service) -> None:
    """As many as one client may have are held, others are refused, and probes are answered."""
    with contextlib.ExitStack() as open:
        for _ in range(service.limits.of_client):
            open.enter_context(service.send(get("/events")))
        until(lambda: len(service.asked) == service.limits.of_client)
        for _ in range(2 * MOST):
            refused = open.enter_context(service.send(get("/events")))
            told = refused.recv(4096)
            assert told.startswith(b"HTTP/1.1 429 ")
            assert b"retry-after: 1" in told
        for path in ("/healthz", "/readyz", "/metrics"):
            assert service.answers(get(path, "Connection: close\r\n")).endswith(f"<{path} 0>".encode())
    until(lambda: service.gone == service.limits.of_client)


def test_a_refused_body_is_not_waited_for_without_end(service: Service) -> None:
    """Refusals that are still being read have no places that others need."""
    began = time.monotonic()
    body = b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n"
    with contextlib.ExitStack() as open:
        for _ in range(service.limits.of_client):
            open.enter_context(service.send(get("/held")))
        until(lambda: len(service.asked) == service.limits.of_client)
        refused = [open.enter_context(service.send(body)) for _ in range(3)]
        assert [rest(connection)[:13] for connection in refused] == [b"HTTP/1.1 429 "] * 3
    assert time.monotonic() - began < 60


UPGRADE = (
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)


def test_a_websocket_has_no_place_once_the_app_is_asked(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_module, "HEAD_S", 0.1)
    with service.send(get("http://b/stream", UPGRADE)) as stream:
        assert stream.recv(4096).startswith(b"HTTP/1.1 101 ")
        until(lambda: len(service.places) == 0, "it has left its place")
        stream.settimeout(0.5)
        with pytest.raises(TimeoutError):  # and is not closed when the time for a head is over
            stream.recv(1)
        assert service.asked == ["/stream"]


@pytest.mark.parametrize("body", ["Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n"])
def test_a_websocket_with_a_body_is_refused(service: Service, body: str) -> None:
    told = service.answers(get("/stream", UPGRADE + body) + b"abcde")
    assert told.startswith(b"HTTP/1.1 400 ")
    assert b"a WebSocket and has a body" in told
    until(lambda: len(service.places) == 0, "its place is free")
    assert service.asked == []


def test_a_websocket_that_cannot_be_read_is_closed_and_makes_room_before(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More headers than the next protocol takes, which it leaves without an answer; an older one may refuse them."""
    many = UPGRADE + "".join(f"X-{number}: a\r\n" for number in range(300))
    with contextlib.ExitStack() as came:
        waiting = [came.enter_context(service.send(get("/stream", many))) for _ in range(MOST)]
        until(lambda: len(service.places) == MOST, "all are there")
        assert b"</a 0>" in service.answers(get("/a", "Connection: close\r\n"))
        assert len(service.places) < MOST
        assert rest(waiting[0])[:12] in (b"", b"HTTP/1.1 400")  # the one that had waited longest
    monkeypatch.setattr(connection_module, "HEAD_S", 0.1)
    assert service.answers(get("/stream", many))[:12] in (b"", b"HTTP/1.1 400")
    assert "/stream" not in service.asked
