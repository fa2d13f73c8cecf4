"""`/v1/emotion` and `/v1/embeddings`: a file in, its answer out."""

from __future__ import annotations

import asyncio
import json
import shutil
from functools import partial
from pathlib import Path
from typing import BinaryIO

from fastapi import APIRouter, Request
from starlette.responses import Response

from overtone.errors import InputError, UsageError
from overtone.options.emotion import PER_CALL
from overtone.output.embeddings import EmbeddingWriter
from overtone.output.records import expect_type
from overtone.server.api.dependencies import (
    EMBEDDINGS,
    KNOWN,
    LINES,
    UPLOAD_PARAMETERS,
    UPLOADED,
    BodyChunks,
    call_of,
    error_responses,
    option_parameters,
    query,
    upload_body,
)
from overtone.server.api.params import CachedAnswer, InferenceRequest
from overtone.server.api.schemas import Record, Vector
from overtone.server.api.upload_request import RouteSpec, UploadRequest, record_of, with_timing_headers, with_upload
from overtone.server.inference.upload_reader import in_pieces
from overtone.server.state import Server
from overtone.types import EmotionResult

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
            **error_responses(*UPLOADED),
        },
        openapi_extra={
            "requestBody": _FILE,
            "parameters": [*UPLOAD_PARAMETERS, EMBEDDINGS, *option_parameters(*PER_CALL)],
        },
    )
    async def emotion(request: Request) -> Response:
        """Send a file as `multipart/form-data` (field `file`) or as the body. Options go into the query or the form."""
        return await with_upload(server, request, _asking(server, ()), partial(record_of, server, request))

    @router.post(
        "/v1/embeddings",
        summary="The embedding of a file",
        responses={
            200: {
                "model": Vector,
                "content": {_NPZ: {"schema": {"type": "string", "format": "binary"}}},
            },
            **error_responses(*UPLOADED),
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

        async def answered(given: UploadRequest) -> Response:
            upload, call, place = given.upload, given.call, given.place
            if call.options.get("channels") == "split":
                raise UsageError("--channels split has several vectors; use /v1/emotion with embeddings=true.")
            if form == "json":
                vector = await server.service.answer(
                    upload, InferenceRequest({**call.options, "granularity": "utterance"}, True, call.owner), place
                )
                return _vector(vector, upload.name, request)
            results = await server.service.with_deadline(server.service.results(upload, call, place))
            frames = call.options.get("granularity") == "frame"
            result = expect_type(results[0], EmotionResult)
            file = await asyncio.to_thread(_npz, result, server.spool.new_path(), frames)
            headers = with_timing_headers(results[0].timings, request, "miss")
            return BodyChunks(in_pieces(file), _NPZ, headers)

        return await with_upload(server, request, _asking(server, ("format",)), answered)

    return router


def _asking(server: Server, own: tuple[str, ...]) -> RouteSpec:
    own = ("name", *own)
    return RouteSpec((*KNOWN["emotion"], *own), lambda owner, texts: call_of(server, owner, texts, own))


def _vector(answer: CachedAnswer, name: str, request: Request) -> Response:
    record = json.loads(next(answer.lines(name)))
    vector = record["embedding"]
    body = {key: record[key] for key in ("source", "duration", "model")}
    body |= {"dim": 0 if vector is None else len(vector), "embedding": vector}
    headers = with_timing_headers(answer.timings, request, answer.found)
    return Response(json.dumps(body), media_type="application/json", headers=headers)


def _npz(result: EmotionResult, folder: Path, frames: bool) -> BinaryIO:
    """The file, open and without a name: nothing is left of it once it has been sent. folder: to make, for a moment."""
    try:
        path = EmbeddingWriter(str(folder), "frame" if frames else "utterance").write(result)
        if path is None:
            raise InputError(f"{result.source}: nobody speaks in it, so it has no embedding.", code="silence")
        return open(path, "rb")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
