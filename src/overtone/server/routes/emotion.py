"""`/v1/emotion` and `/v1/embeddings`: a file in, its answer out."""

from __future__ import annotations

import asyncio
import json
import shutil
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, BinaryIO

from fastapi import APIRouter, Request
from starlette.responses import Response

from overtone.embeddings import EmbeddingWriter
from overtone.errors import InputError, RefusedError, UsageError
from overtone.options import PER_CALL
from overtone.server.admission import Ticket
from overtone.server.calls import Answer, Call
from overtone.server.metrics import server_timing
from overtone.server.reading import in_pieces
from overtone.server.routes.common import (
    EMBEDDINGS,
    LINES,
    UPLOAD_PARAMETERS,
    UPLOADED,
    Pieces,
    call_of,
    described,
    option_parameters,
    owner_of,
    parameters,
    query,
    upload_body,
    while_awaited,
)
from overtone.server.schemas import Record, Vector
from overtone.server.server import Server
from overtone.server.uploads import Received, Upload, announced_bytes, receive
from overtone.values import EmotionResult, Timings

_NPZ = "application/x-npz"

_FORMATS = ("json", "npz")

_FILE = upload_body({"type": "string", "format": "binary", "description": "What FFmpeg reads."})


def routes(server: Server) -> APIRouter:
    """The routes, of this server."""
    router = APIRouter(tags=["emotion"])

    @router.post(
        "/v1/emotion",
        summary="The emotion of a file",
        responses={
            200: {
                "model": Record,
                "description": "The record; with `channels=split` a line of JSON for each channel.",
                "content": {LINES: {"schema": {"type": "string"}}},
            },
            **described(*UPLOADED),
        },
        openapi_extra={
            "requestBody": _FILE,
            "parameters": [*UPLOAD_PARAMETERS, EMBEDDINGS, *option_parameters(*PER_CALL)],
        },
    )
    async def emotion(request: Request) -> Response:
        """Send a file as `multipart/form-data` (field `file`) or as the body. Options go into the query or the form."""

        async def answered(upload: Upload, call: Call, place: Ticket) -> Response:
            return _told(await server.service.answer(upload, call, place), upload.name, request)

        return await _with_upload(server, request, answered)

    @router.post(
        "/v1/embeddings",
        summary="The embedding of a file",
        responses={
            200: {
                "model": Vector,
                "content": {_NPZ: {"schema": {"type": "string", "format": "binary"}}},
            },
            **described(*UPLOADED),
        },
        openapi_extra={
            "requestBody": _FILE,
            "parameters": [
                *UPLOAD_PARAMETERS,
                query(
                    "format",
                    "`npz`: NumPy arrays, with `granularity=frame` those of every frame.",
                    type="string",
                    enum=list(_FORMATS),
                    default="json",
                ),
                *option_parameters("granularity", "segment", "max_segment", "window", "hop", "keep_silence"),
            ],
        },
    )
    async def embeddings(request: Request) -> Response:
        """The vector alone: the mean over all frames with speech; with `format=npz` as NumPy reads it."""
        form = request.query_params.get("format", "json")
        if form not in _FORMATS:
            raise UsageError(f"format is {form!r}; it is json or npz.")

        async def answered(upload: Upload, call: Call, place: Ticket) -> Response:
            if call.options.get("channels") == "split":
                raise UsageError("--channels split has several vectors; use /v1/emotion with embeddings=true.")
            if form == "json":
                vector = await server.service.answer(
                    upload, Call({**call.options, "granularity": "utterance"}, True, call.owner), place
                )
                return _vector(vector, upload.name, request)
            results = await server.service.in_time(server.service.results(upload, call, place))
            frames = call.options.get("granularity") == "frame"
            file = await asyncio.to_thread(_npz, results[0], server.spool.new_path(), frames)
            headers = _timed(results[0].timings, request, "miss")
            return Pieces(in_pieces(file), _NPZ, headers)

        return await _with_upload(server, request, answered, ("format",))

    return router


async def _with_upload(
    server: Server,
    request: Request,
    answered: Callable[[Upload, Call, Ticket], Coroutine[Any, Any, Response]],
    own: tuple[str, ...] = (),
) -> Response:
    """Take one file in, have it answered while its client waits, and remove it whatever happens."""
    request.state.began = time.perf_counter()
    owner = owner_of(request, server.keyring)
    asked = parameters(request, ("name", *own))
    own = ("name", *own)
    place = server.service.expect(call_of(server, owner, asked, own), announced_bytes(request))
    received: Received | None = None
    try:
        received = await receive(server.spool, request)
        if len(received.files) > 1:
            raise RefusedError("it takes one file at a time; send several as a job.", code="bad_request")
        if twice := asked.keys() & received.fields.keys():
            raise UsageError(f"{min(twice)} is given twice.")
        call = call_of(server, owner, {**asked, **received.fields}, own)
        return await while_awaited(request, answered(received.files[0], call, place))
    finally:
        place.leave()
        if received is not None:
            for upload in received.files:
                await asyncio.to_thread(upload.remove)


def _told(answer: Answer, name: str, request: Request) -> Response:
    lines = list(answer.lines(name))
    headers = _timed(answer.timings, request, answer.found)
    if len(lines) > 1:
        return Response("".join(f"{line}\n" for line in lines), media_type=LINES, headers=headers)
    return Response(lines[0], media_type="application/json", headers=headers)


def _vector(answer: Answer, name: str, request: Request) -> Response:
    record = json.loads(next(answer.lines(name)))
    vector = record["embedding"]
    body = {key: record[key] for key in ("source", "duration", "model")}
    body |= {"dim": 0 if vector is None else len(vector), "embedding": vector}
    headers = _timed(answer.timings, request, answer.found)
    return Response(json.dumps(body), media_type="application/json", headers=headers)


def _timed(timings: Timings, request: Request, found: str) -> dict[str, str]:
    """What took how long, as headers. An answer that was kept took none of it."""
    request.state.timings = timings if found == "miss" else None
    total = time.perf_counter() - request.state.began
    spent = server_timing(timings, {"service": total}) if found == "miss" else f"service;dur={1000 * total:.1f}"
    return {"Server-Timing": f"{spent}, cache;desc={found}", "X-Overtone-Cache": found}


def _npz(result: EmotionResult, folder: Path, frames: bool) -> BinaryIO:
    """The file, open and without a name: nothing is left of it once it has been sent. folder: to make, for a moment."""
    try:
        path = EmbeddingWriter(str(folder), "frame" if frames else "utterance").write(result)
        if path is None:
            raise InputError(f"{result.source}: nobody speaks in it, so it has no embedding.", code="silence")
        return open(path, "rb")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
