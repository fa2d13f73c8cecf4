"""A request with uploads through an application, in pieces cut anywhere, and what came of it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

import pytest

pytest.importorskip("python_multipart", reason="the extra [server] is not installed")
pytest.importorskip("starlette", reason="the extra [server] is not installed")

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from overtone.errors import OvertoneError
from overtone.server.uploads import Received, Spool, UploadLimits, receive
from overtone.system.memory import MIB

BOUNDARY = "boundary"
FORM = f"multipart/form-data; boundary={BOUNDARY}"
Part = tuple[str, bytes]


def limits(**changes: Any) -> UploadLimits:
    given: dict[str, Any] = {
        "most_bytes": 8 * MIB,
        "most_files": 8,
        "idle_s": 20,
        "least_rate": 0,
        "total_bytes": 9 * MIB,
    }
    return UploadLimits(**given | changes)


def form(*parts: Part, closing: bool = True) -> bytes:
    """A body of parts: the headers after `form-data`, and the content."""
    body = b"".join(
        f"--{BOUNDARY}\r\nContent-Disposition: form-data; {headers}\r\n\r\n".encode() + content + b"\r\n"
        for headers, content in parts
    )
    return body + (f"--{BOUNDARY}--\r\n".encode() if closing else b"")


def a_file(content: bytes, name: str = "a.wav") -> Part:
    return f'name="file"; filename="{name}"', content


class Exchange:
    """One request through an application: what came of it, and how many messages were read."""

    def __init__(
        self, spool: Spool, pieces: Iterable[bytes], *, then: str = "end", query: str = "", **headers: str
    ) -> None:
        self.spool = spool
        self.outcome: Received | OvertoneError | None = None
        self.read = 0
        self._pieces = iter(pieces)
        self._then = then
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self._scope = {
            "type": "http",
            "method": "POST",
            "path": "/",
            "query_string": query.encode(),
            "headers": [(name.encode(), value.encode("latin-1")) for name, value in named.items()],
        }

    async def _receive(self) -> dict[str, Any]:
        self.read += 1
        await asyncio.sleep(0)
        for piece in self._pieces:
            return {"type": "http.request", "body": piece, "more_body": True}
        if self._then == "vanish":
            return {"type": "http.disconnect"}
        if self._then == "silence":
            await asyncio.Event().wait()
        return {"type": "http.request", "body": b"", "more_body": False}

    async def _endpoint(self, request: Request) -> Response:
        try:
            self.outcome = await receive(self.spool, request)
        except OvertoneError as error:
            self.outcome = error
        return Response()

    async def run(self) -> Received:
        """Through the application; raises what was refused."""

        async def send(message: Any) -> None:
            pass

        app = Starlette(routes=[Route("/", self._endpoint, methods=["POST"])])
        await asyncio.wait_for(app(self._scope, self._receive, send), 30)
        if isinstance(self.outcome, OvertoneError):
            raise self.outcome
        assert self.outcome is not None
        return self.outcome


def sent(spool: Spool, *pieces: bytes, **more: str) -> Received:
    return asyncio.run(Exchange(spool, pieces, **{"content_type": FORM} | more).run())


def refused(spool: Spool, code: str, *pieces: bytes, says: str = ".", **more: str) -> OvertoneError:
    """The refusal with this code; nothing stays behind it."""
    with pytest.raises(OvertoneError, match=says) as caught:
        sent(spool, *pieces, **more)
    assert caught.value.code == code, caught.value
    assert_nothing_stays(spool)
    return caught.value


def assert_nothing_stays(spool: Spool) -> None:
    assert spool.held_bytes == 0
    assert not list(spool.path.glob("upload-*"))


def contents(received: Received) -> list[tuple[str, bytes]]:
    return [(upload.name, upload.path.read_bytes()) for upload in received.files]


def let_go(received: Received) -> None:
    for upload in received.files:
        upload.remove()


NEARLY_BOUNDARIES = [b"\r", b"\n", b"\r\n", b"-", b"--", b"\r\n--", b"\r\n--bound", b"--boundary", b"\r\n--boundarx"]
