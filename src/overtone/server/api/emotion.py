"""`/v1/emotion` and `/v1/embeddings`: a file in, its answer out."""

from __future__ import annotations

import asyncio
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, BinaryIO

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from overtone.errors import Code, InputError, UsageError
from overtone.options.emotion import PER_CALL
from overtone.output.embeddings import EmbeddingWriter
from overtone.output.records import expect_type
from overtone.results import EmotionResult
from overtone.server.api.dependencies import (
    EMBEDDINGS,
    KEY_FIRST,
    KNOWN,
    LINES,
    UPLOAD_PARAMETERS,
    UPLOADED,
    BodyChunks,
    ServerState,
    call_of,
    error_responses,
    option_parameters,
    query,
    upload_body,
)
from overtone.server.api.schemas import Record, Vector
from overtone.server.api.upload_request import UploadRequest, receive_upload, record_of, with_timing_headers
from overtone.server.inference.answer import CachedAnswer
from overtone.server.state import Server
from overtone.system.files import iter_chunks
from overtone.wording import param

_NPZ = "application/x-npz"

_FORMATS = ("json", "npz")

_FILE = upload_body({"type": "string", "format": "binary", "description": "What FFmpeg reads."})


router = APIRouter(tags=["emotion"], dependencies=[KEY_FIRST])


def _upload(*own: str) -> Any:
    """The dependency on an upload. own: names of parameters that the route reads itself."""
    return Depends(
        receive_upload((*KNOWN["emotion"], *own), lambda server, owner, texts: call_of(server, owner, texts, own))
    )


_EmotionUpload = Annotated[UploadRequest, _upload("name")]

_EmbeddingUpload = Annotated[UploadRequest, _upload("name", "format")]


async def _form(request: Request) -> str:
    """The form of an embedding, known before anything is taken in."""
    form = request.query_params.get("format", "json")
    if form not in _FORMATS:
        raise UsageError(f"format is {form!r}; it is json or npz.")
    return form


_Form = Annotated[str, Depends(_form)]


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
async def emotion(server: ServerState, given: _EmotionUpload) -> Response:
    """Send a file as `multipart/form-data` (field `file`) or as the body. Options go into the query or the form."""
    return await given.respond(record_of(server, given))


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
async def embeddings(form: _Form, server: ServerState, given: _EmbeddingUpload) -> Response:
    """The vector alone: the mean over all frames with speech; with `format=npz` as NumPy reads it."""
    return await given.respond(_embedding(server, given, form))


async def _embedding(server: Server, given: UploadRequest, form: str) -> Response:
    """The vector in the form that was asked for."""
    upload, call, ticket = given.upload, given.call, given.ticket
    if call.options.get("channels") == "split":
        raise UsageError(f"{param('channels', 'split')} has several vectors; use /v1/emotion with embeddings=true.")
    if form == "json":
        options = {**call.options, "granularity": "utterance"}
        vector = await server.service.answer(upload, replace(call, options=options, embedding=True), ticket)
        return _vector(vector, given)
    results = await server.service.with_deadline(server.service.results(upload, call, ticket))
    frames = call.options.get("granularity") == "frame"
    result = expect_type(results[0], EmotionResult)
    file = await asyncio.to_thread(_npz, result, server.spool.new_path(), frames)
    headers = with_timing_headers(results[0].timings, given.request, "miss")
    return BodyChunks(iter_chunks(file), _NPZ, headers)


def _vector(answer: CachedAnswer, given: UploadRequest) -> Response:
    record = json.loads(next(answer.lines(given.upload.name)))
    vector = record["embedding"]
    body = {key: record[key] for key in ("source", "duration", "model")}
    body |= {"dim": 0 if vector is None else len(vector), "embedding": vector}
    headers = with_timing_headers(answer.timings, given.request, answer.found)
    return Response(json.dumps(body), media_type="application/json", headers=headers)


def _npz(result: EmotionResult, folder: Path, frames: bool) -> BinaryIO:
    """The file, open and without a name: nothing is left of it once it has been sent. folder: to make, for a moment."""
    try:
        path = EmbeddingWriter(str(folder), "frame" if frames else "utterance").write(result)
        if path is None:
            raise InputError(f"{result.source}: nobody speaks in it, so it has no embedding.", code=Code.SILENCE)
        return open(path, "rb")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
