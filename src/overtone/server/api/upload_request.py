"""A file in, its answer out: what all routes share that answer at once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from overtone.errors import RefusedError, UsageError
from overtone.server.api.dependencies import LINES, cancel_on_disconnect, owner_of, parameters
from overtone.server.api.params import InferenceRequest
from overtone.server.auth import Owner
from overtone.server.inference.admission import Ticket
from overtone.server.observability.metrics import server_timing
from overtone.server.state import Server
from overtone.server.uploads import Received, Upload, announced_bytes, receive
from overtone.types import Timings


@dataclass(frozen=True, slots=True)
class RouteSpec:
    """How a route is asked. known: names of its parameters. call: what they and the form's fields describe, of whom;
    asked twice, as fields are known only after the upload."""

    known: tuple[str, ...]
    call: Callable[[Owner | None, Mapping[str, str]], InferenceRequest]


@dataclass(frozen=True, slots=True)
class UploadRequest:
    """What a request has brought. texts: parameters and fields. place: among what is under way."""

    upload: Upload
    texts: Mapping[str, str]
    call: InferenceRequest
    place: Ticket


async def with_upload(
    server: Server,
    request: Request,
    asking: RouteSpec,
    answered: Callable[[UploadRequest], Coroutine[Any, Any, Response]],
) -> Response:
    """Take one file in, have it answered while its client waits, and remove it whatever happens."""
    request.state.began = time.perf_counter()
    owner = owner_of(request, server.keyring)
    asked = parameters(request, asking.known)
    place = server.service.reserve(asking.call(owner, asked), announced_bytes(request))
    received: Received | None = None
    try:
        received = await receive(server.spool, request)
        if len(received.files) > 1:
            raise RefusedError("it takes one file at a time; send several as a job.", code="bad_request")
        if twice := asked.keys() & received.fields.keys():
            raise UsageError(f"{min(twice)} is given twice.")
        texts = {**asked, **received.fields}
        given = UploadRequest(received.files[0], texts, asking.call(owner, texts), place)
        return await cancel_on_disconnect(request, answered(given))
    finally:
        place.release()
        if received is not None:
            for upload in received.files:
                await asyncio.to_thread(upload.remove)


async def record_of(server: Server, request: Request, given: UploadRequest) -> Response:
    """The record of a file, or a line of JSON for each channel."""
    answer = await server.service.answer(given.upload, given.call, given.place)
    lines = list(answer.lines(given.upload.name))
    headers = with_timing_headers(answer.timings, request, answer.found)
    if len(lines) > 1:
        return Response("".join(f"{line}\n" for line in lines), media_type=LINES, headers=headers)
    return Response(lines[0], media_type="application/json", headers=headers)


def with_timing_headers(timings: Timings, request: Request, found: str) -> dict[str, str]:
    """What took how long, as headers. An answer that was kept took none of it."""
    request.state.timings = timings if found == "miss" else None
    total = time.perf_counter() - request.state.began
    spent = server_timing(timings, {"service": total}) if found == "miss" else f"service;dur={1000 * total:.1f}"
    return {"Server-Timing": f"{spent}, cache;desc={found}", "X-Overtone-Cache": found}
