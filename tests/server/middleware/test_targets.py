"""Whole URLs as targets of requests, which clients of a proxy send."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from helpers.server.exposing import Source
from overtone.server.middleware.origins import OriginPolicy
from overtone.server.middleware.requests import RequestMiddleware
from overtone.server.middleware.targets import to_origin_form
from overtone.server.observability.metrics import Metrics


def scope_of(raw: bytes, host: bytes = b"127.0.0.1") -> dict[str, Any]:
    return {
        "type": "http",
        "method": "GET",
        "path": raw.decode(),
        "raw_path": raw,
        "headers": [(b"host", host), (b"x-a", b"b")],
    }


@pytest.mark.parametrize(
    ("raw", "path", "raw_path", "host"),
    [
        (b"http://b/v1/plan", "/v1/plan", b"/v1/plan", b"b"),
        (b"HTTPS://b.example:8765/a%20b", "/a b", b"/a%20b", b"b.example:8765"),
        (b"http://[::1]:80", "/", b"/", b"[::1]:80"),
        (b"/v1/plan", "/v1/plan", b"/v1/plan", b"127.0.0.1"),
        (b"/http://b/", "/http://b/", b"/http://b/", b"127.0.0.1"),
        (b"*", "*", b"*", b"127.0.0.1"),
    ],
)
def test_a_url_is_its_path_and_its_authority_is_the_host(raw: bytes, path: str, raw_path: bytes, host: bytes) -> None:
    scope = scope_of(raw)
    to_origin_form(scope)
    assert (scope["path"], scope["raw_path"]) == (path, raw_path)
    assert dict(scope["headers"]) == {b"host": host, b"x-a": b"b"}


@pytest.mark.parametrize(
    ("raw", "host", "status"),
    [
        (b"http://127.0.0.1:8765/v1/plan", b"evil.example", 200),
        (b"http://evil.example/v1/plan", b"127.0.0.1:8765", 403),
    ],
)
def test_a_private_service_goes_by_the_authority_of_the_url(raw: bytes, host: bytes, status: int) -> None:
    sent: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert scope["path"] == "/v1/plan"
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    policy = OriginPolicy((), private=True, host="127.0.0.1")
    asyncio.run(RequestMiddleware(app, Metrics(Source()), policy)(scope_of(raw, host), receive, send))
    assert sent[0]["status"] == status
