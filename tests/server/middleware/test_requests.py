"""The outermost layer, around apps that do what an app should not."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from helpers.server.exposing import Source
from overtone.server.middleware.origins import OriginPolicy
from overtone.server.middleware.requests import RequestMiddleware
from overtone.server.observability.metrics import Metrics

ANYBODY = OriginPolicy((), private=False, host="127.0.0.1")

SCOPE = {"type": "http", "method": "POST", "path": "/v1/emotion", "headers": []}


async def body() -> dict[str, Any]:
    return {"type": "http.request", "body": b"", "more_body": False}


def refused(metrics: Metrics) -> dict[str, float]:
    families = text_string_to_metric_families(metrics.exposition()[0].decode())
    samples = [sample for family in families if family.name == "overtone_refused" for sample in family.samples]
    return {sample.labels["code"]: sample.value for sample in samples}


def test_who_still_waits_when_the_service_ends_is_told_so():
    metrics, sent = Metrics(Source()), []
    began = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        began.set()
        await asyncio.sleep(60)

    async def send(message: Any) -> None:
        sent.append(message)

    async def main() -> None:
        request = asyncio.create_task(RequestMiddleware(app, metrics, ANYBODY)(dict(SCOPE), body, send))
        await began.wait()
        request.cancel()
        await request

    asyncio.run(main())
    start, rest = sent
    told = json.loads(rest["body"])
    assert (start["status"], told["status"], told["code"]) == (503, 503, "not_ready")
    assert dict(start["headers"])[b"x-request-id"].decode() == told["request_id"]
    assert refused(metrics) == {"not_ready": 1.0}


def test_an_answer_that_was_begun_is_broken_off():
    sent = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        began.set()
        await asyncio.sleep(60)

    async def send(message: Any) -> None:
        sent.append(message["type"])

    async def main() -> None:
        request = asyncio.create_task(RequestMiddleware(app, Metrics(Source()), ANYBODY)(dict(SCOPE), body, send))
        await began.wait()
        request.cancel()
        await request

    began = asyncio.Event()
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(main())
    assert sent == ["http.response.start"]
