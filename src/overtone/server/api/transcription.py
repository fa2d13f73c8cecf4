"""`/v1/transcribe`: a file in, its transcript out."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.responses import Response

from overtone.options.transcription import TRANSCRIBE_PER_CALL
from overtone.server.api.dependencies import (
    DETAIL,
    KEY_FIRST,
    KNOWN,
    LINES,
    UPLOAD_PARAMETERS,
    UPLOADED,
    ServerState,
    call_of,
    error_responses,
    option_parameters,
    upload_body,
)
from overtone.server.api.transcription_schemas import Transcription
from overtone.server.api.upload_request import UploadRequest, receive_upload, record_of

_FILE = upload_body({"type": "string", "format": "binary", "description": "What FFmpeg reads."})


router = APIRouter(tags=["transcription"], dependencies=[KEY_FIRST])

_OWN = ("name",)
_Upload = Annotated[
    UploadRequest,
    Depends(
        receive_upload(
            (*KNOWN["transcribe"], *_OWN),
            lambda server, owner, texts: call_of(server, owner, texts, _OWN, "transcribe"),
        )
    ),
]


@router.post(
    "/v1/transcribe",
    summary="What is said in a file",
    responses={
        200: {
            "model": Transcription,
            "description": "The record; with `channels=split` a line of JSON for each channel.",
            "content": {LINES: {"schema": {"type": "string"}}},
        },
        **error_responses(*UPLOADED),
    },
    openapi_extra={
        "requestBody": _FILE,
        "parameters": [*UPLOAD_PARAMETERS, DETAIL, *option_parameters(*TRANSCRIBE_PER_CALL, task="transcribe")],
    },
)
async def transcribe(server: ServerState, given: _Upload) -> Response:
    """Send a file as `multipart/form-data` (field `file`) or as the body. Options go into the query or the form.
    404 where the service was started without a transcriber."""
    return await given.respond(record_of(server, given))
