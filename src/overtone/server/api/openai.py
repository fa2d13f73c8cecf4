"""`/v1/audio/…`: transcription for OpenAI's clients."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends
from starlette.responses import Response

from overtone.errors import Code
from overtone.server.api.dependencies import KEY_FIRST, BodyChunks, RequestOwner, ServerState
from overtone.server.api.events import MEDIA_TYPE
from overtone.server.api.openai_format import body_of, transcript_of, without_marks
from overtone.server.api.openai_params import (
    FIELDS,
    FORMS,
    GRANULARITIES,
    INCLUDES,
    LANGUAGES,
    TYPES,
    Form,
    OpenAIParams,
    ParameterError,
    names_of,
)
from overtone.server.api.openai_stream import streamed
from overtone.server.api.record_formats import convert_records
from overtone.server.api.schemas import ListedModel
from overtone.server.api.status import listed
from overtone.server.api.transcription_schemas import OpenaiError, OpenaiTranscription
from overtone.server.api.upload_request import UploadRequest, receive_upload, with_timing_headers
from overtone.server.state import Server

_TEXTS: dict[str, Any] = {"type": "array", "items": {"type": "string"}}

_UNUSED = {"description": "Changes nothing, and a warning says so."}

_PROPERTIES: dict[str, Any] = {
    "file": {"type": "string", "format": "binary", "description": "What FFmpeg reads."},
    "model": {"type": "string", "description": "`whisper-1`, or the transcriber's name; see /v1/models."},
    "language": {"type": "string", "enum": [*LANGUAGES, ""], "description": "Of the speech. Default: found out."},
    "prompt": {"type": "string", "description": "Words to listen for, where the recognizer can."},
    "keywords[]": {**_TEXTS, "description": "More of them."},
    "response_format": {"type": "string", "enum": list(FORMS), "default": FORMS[0]},
    "temperature": {"type": "number", "minimum": 0, "maximum": 1, "description": "Changes nothing."},
    "timestamp_granularities[]": {
        "type": "array",
        "items": {"type": "string", "enum": list(GRANULARITIES)},
        "description": "What verbose_json tells. Default: segment.",
    },
    "stream": {"type": "boolean", "default": False, "description": "The text comes as events, as it becomes known."},
    "include[]": {
        "type": "array",
        "items": {"type": "string", "enum": list(INCLUDES)},
        "description": "`logprobs`: of words, with json.",
    },
    "chunking_strategy": {
        "type": "string",
        "description": "`auto`, which is how it is cut anyway, or `server_vad` as a JSON object.",
    },
    "chunking_strategy[type]": {"type": "string", "enum": ["server_vad"], "description": "The same in parts."},
    "chunking_strategy[threshold]": {**_UNUSED, "type": "number", "minimum": 0, "maximum": 1},
    "chunking_strategy[prefix_padding_ms]": {**_UNUSED, "type": "integer", "minimum": 0},
    "chunking_strategy[silence_duration_ms]": {**_UNUSED, "type": "integer", "minimum": 0},
    "languages[]": {**_TEXTS, **_UNUSED},
    "known_speaker_names[]": {**_TEXTS, **_UNUSED},
    "known_speaker_references[]": {**_TEXTS, **_UNUSED},
}

_SUBTITLES: Mapping[Form, Literal["srt", "vtt"]] = {"srt": "srt", "vtt": "vtt"}

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


router = APIRouter(tags=["transcription"], dependencies=[KEY_FIRST])

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
            "content": {
                MEDIA_TYPE: {},
                **{kind: {"schema": {"type": "string"}} for kind in TYPES.values() if "json" not in kind},
            },
        },
        **_errors(*_STATUSES),
    },
    openapi_extra={"requestBody": _BODY},
)
async def transcriptions(server: ServerState, given: _Upload) -> Response:
    """For OpenAI's clients: their `base_url` is this service's address and `/v1`. Errors have OpenAI's form."""
    try:
        asked = OpenAIParams.of(given.texts, server.host.transcriber, given.call.owner)
    except BaseException:  # it was good before the upload; the model may have died since
        await given.release()
        raise
    if asked.stream:
        return await streamed(server, given, asked, _warned(asked.warnings))
    return await given.respond(_answered(server, given, asked))


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


@router.get(
    "/v1/models/{model:path}",
    summary="One name that a request may call a model, as OpenAI has it",
    responses=_errors(401, 404, 503),
    tags=["service"],
)
async def model(server: ServerState, owner: RequestOwner, model: str) -> ListedModel:
    """Every name of `/v1/models`, and the others that the transcriber goes by. Errors have OpenAI's form."""
    names = [server.host.recognizer.runtime.model.name]
    if server.settings.transcriber is not None:
        names += names_of(server.host.transcriber)
    if model not in names:
        raise ParameterError(
            f"there is no model {model!r} here; there are {', '.join(map(repr, names))}.",
            code=Code.UNKNOWN,
            param="model",
        )
    return listed(server, model)


async def _answered(server: Server, given: UploadRequest, asked: OpenAIParams) -> Response:
    """The transcript in the form that was asked for."""
    answer = await server.service.answer(given.upload, given.call, given.ticket)
    line = next(answer.lines(given.upload.name))
    told = await asyncio.to_thread(transcript_of, line)
    warned = _warned([*asked.warnings, *told.warnings])
    headers = with_timing_headers(answer.timings, given.request, answer.found) | warned
    if (subtitles := _SUBTITLES.get(asked.form)) is not None:
        pieces = await asyncio.to_thread(lambda: convert_records([without_marks(line)], subtitles, "word", ()))
        return BodyChunks(pieces, TYPES[asked.form], headers)
    body = await asyncio.to_thread(lambda: body_of(told, asked))
    return Response(body, media_type=TYPES[asked.form], headers=headers)


def _warned(warnings: Sequence[str]) -> dict[str, str]:
    """Warnings as a header, for forms that have no place for them; it can hold ASCII alone."""
    text = " ".join(warnings).encode("ascii", "backslashreplace").decode("ascii")
    return {"X-Overtone-Warnings": text} if text else {}
