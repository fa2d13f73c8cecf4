"""A file in, its answer out: what all routes share that answer at once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from starlette.requests import Request
from starlette.responses import Response

from overtone.errors import Code, RefusedError
from overtone.results import Timings
from overtone.server.api.dependencies import (
    LINES,
    RequestOwner,
    ServerState,
    cancel_on_disconnect,
    client_of,
    parameters,
    with_fields,
)
from overtone.server.auth import Owner
from overtone.server.inference.admission import Ticket
from overtone.server.inference.request import InferenceRequest
from overtone.server.observability.metrics import server_timing
from overtone.server.state import Server
from overtone.server.uploads import Upload, announced_bytes, receive


@dataclass(frozen=True, slots=True)
class UploadRequest:
    """One file that a request has brought, let in and on disk; `respond` answers it and removes it.

    texts: parameters and fields. call: what they ask for. ticket: its admission.
    """

    request: Request
    upload: Upload
    texts: Mapping[str, str]
    call: InferenceRequest
    ticket: Ticket

    async def respond(self, making: Awaitable[Response]) -> Response:
        """The response, made while its client waits. The file is removed whatever happens."""
        try:
            return await cancel_on_disconnect(self.request, making)
        finally:
            await self.release()

    async def release(self) -> None:
        """Remove the file, and let the admission go unless an answer is under way, which keeps it until it ends."""
        self.ticket.lapse()
        await asyncio.to_thread(self.upload.remove)


def receive_upload(
    known: Sequence[str], call: Callable[[Server, Owner | None, Mapping[str, str]], InferenceRequest]
) -> Callable[..., Awaitable[UploadRequest]]:
    """The dependency that lets a route's request in and takes its one file to disk. It goes last: once there is a
    file, only the route sees that it is removed.

    known: names of the route's parameters. call: what they and the form's fields ask for, of whom; asked twice, as
    fields are known only after the upload.
    """

    async def received(request: Request, server: ServerState, owner: RequestOwner) -> UploadRequest:
        request.state.began = time.perf_counter()
        asked = parameters(request, known)
        ticket = server.service.reserve(call(server, owner, asked), announced_bytes(request))
        files: Sequence[Upload] = ()
        try:
            brought = await receive(server.spool, request)
            files = brought.files
            if len(files) > 1:
                raise RefusedError("it takes one file at a time; send several as a job.", code=Code.BAD_REQUEST)
            texts = with_fields(asked, brought.fields, known)
            asked_for = replace(call(server, owner, texts), client=client_of(request))
            return UploadRequest(request, files[0], texts, asked_for, ticket)
        except BaseException:
            ticket.lapse()
            for upload in files:
                await asyncio.to_thread(upload.remove)
            raise

    return received


async def record_of(server: Server, given: UploadRequest) -> Response:
    """The record of a file, or a line of JSON for each channel."""
    answer = await server.service.answer(given.upload, given.call, given.ticket)
    lines = list(answer.lines(given.upload.name))
    headers = with_timing_headers(answer.timings, given.request, answer.found)
    if len(lines) > 1:
        return Response(b"".join(line + b"\n" for line in lines), media_type=LINES, headers=headers)
    return Response(lines[0], media_type="application/json", headers=headers)


def with_timing_headers(timings: Timings, request: Request, found: str) -> dict[str, str]:
    """The timings as headers. An answer that was kept took none of it."""
    request.state.timings = timings if found == "miss" else None
    total = time.perf_counter() - request.state.began
    spent = server_timing(timings, {"service": total}) if found == "miss" else f"service;dur={1000 * total:.1f}"
    return {"Server-Timing": f"{spent}, cache;desc={found}", "X-Overtone-Cache": found}
