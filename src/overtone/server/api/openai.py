"""`/v1/audio/…`: transcription for OpenAI's clients."""

from __future__ import annotations

import asyncio
import json
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from starlette.responses import Response

from overtone.output.record_reader import parse_record
from overtone.output.records import expect_type
from overtone.results import Transcript
from overtone.server.api.dependencies import BodyChunks, RequestOwner, ServerState
from overtone.server.api.openai_format import (
    FIELDS,
    FORMS,
    GRANULARITIES,
    LANGUAGES,
    TYPES,
    OpenAIParams,
    ParameterError,
    body_of,
)
from overtone.server.api.record_formats import convert_records
from overtone.server.api.transcription_schemas import OpenaiError, OpenaiTranscription
from overtone.server.api.upload_request import UploadRequest, receive_upload, with_timing_headers
from overtone.server.state import Server

_TEXTS: dict[str, Any] = {"type": "array", "items": {"type": "string"}}

_PROPERTIES: dict[str, Any] = {
    "file": {"type": "string", "format": "binary", "description": "What FFmpeg reads."},
    "model": {"type": "string", "description": "`whisper-1`, or the transcriber's name; see /v1/models."},
    "language": {"type": "string", "enum": [*LANGUAGES, ""], "description": "Of the speech. Default: found out."},
    "prompt": {"type": "string", "description": "Words to listen for, where the recognizer can."},
    "keywords[]": {**_TEXTS, "description": "The same."},
    "response_format": {"type": "string", "enum": list(FORMS), "default": FORMS[0]},
    "temperature": {"type": "number", "minimum": 0, "maximum": 1, "description": "Changes nothing."},
    "timestamp_granularities[]": {
        "type": "array",
        "items": {"type": "string", "enum": list(GRANULARITIES)},
        "description": "What verbose_json tells. Default: segment.",
    },
    "stream": {"type": "boolean", "enum": [False], "description": "The answer comes as a whole."},
}

_BODY = {
    "required": True,
    "content": {"multipart/form-data": {"schema": {"type": "object", "required": ["file"], "properties": _PROPERTIES}}},
}

_STATUSES = {
    400: "The request is wrong, or the file is nothing that can be heard.",
    401: "A key is needed.",
    404: "There is no such model here.",
    408: "The upload was too slow, or stopped.",
    413: "Too many bytes, or too many seconds of audio.",
    429: "Too busy; `Retry-After` says when to ask again.",
    503: "The service is not ready, or has no room.",
    504: "It was not answered in time.",
}


def _errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return {status: {"model": OpenaiError, "description": _STATUSES[status]} for status in statuses}


router = APIRouter(tags=["transcription"])

_Upload = Annotated[
    UploadRequest,
    Depends(
        receive_upload(FIELDS, lambda server, owner, texts: OpenAIParams.of(texts, server.host.transcriber, owner).call)
    ),
]


@router.post(
    "/v1/audio/transcriptions",
    summary="What is said in a file, as OpenAI's API has it",
    responses={
        200: {
            "model": OpenaiTranscription,
            "content": {kind: {"schema": {"type": "string"}} for kind in TYPES.values() if "json" not in kind},
        },
        **_errors(*_STATUSES),
    },
    openapi_extra={"requestBody": _BODY},
)
async def transcriptions(server: ServerState, given: _Upload) -> Response:
    """For OpenAI's clients: their `base_url` is this service's address and `/v1`. Errors have OpenAI's form."""
    return await given.respond(_answered(server, given))


@router.post(
    "/v1/audio/translations",
    status_code=400,
    summary="Not here",
    response_model=OpenaiError,
    response_description="Nothing is translated here.",
    responses=_errors(401),
)
async def translations(owner: RequestOwner) -> Response:
    """Always refused: what is said is written down in its own language, by `/v1/audio/transcriptions`."""
    raise ParameterError(
        "no model here translates; POST /v1/audio/transcriptions writes down what is said in its own language."
    )


async def _answered(server: Server, given: UploadRequest) -> Response:
    """The transcript in the form that was asked for."""
    asked = OpenAIParams.of(given.texts, server.host.transcriber, given.call.owner)
    answer = await server.service.answer(given.upload, given.call, given.ticket)
    line = next(answer.lines(given.upload.name))
    headers = with_timing_headers(answer.timings, given.request, answer.found)
    if asked.form in ("srt", "vtt"):
        path = server.spool.new_path()
        pieces = await asyncio.to_thread(convert_records, [line], path, asked.form, "word", ())
        return BodyChunks(pieces, TYPES[asked.form], headers)
    body = await asyncio.to_thread(lambda: body_of(expect_type(parse_record(json.loads(line)), Transcript), asked))
    return Response(body, media_type=TYPES[asked.form], headers=headers)
