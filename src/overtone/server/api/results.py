"""`/v1/jobs/{id}/result`: what came of a job, in one form or another."""

from __future__ import annotations

import asyncio
from collections.abc import Generator, Mapping
from typing import Literal

from fastapi import APIRouter, Request
from starlette.responses import Response, StreamingResponse

from overtone.errors import Code, RefusedError, UsageError
from overtone.server.api.dependencies import KEY_FIRST, LINES, BodyChunks, ServerState, error_responses, query
from overtone.server.api.jobs import OwnedJob
from overtone.server.api.record_formats import Form, convert_records
from overtone.server.jobs.executor import call_of
from overtone.server.state import Server

_TYPES: Mapping[Form, str] = {
    "parquet": "application/vnd.apache.parquet",
    "csv": "text/csv",
    "srt": "application/x-subrip",
    "vtt": "text/vtt",
    "txt": "text/plain",
}
"""Forms of results beside JSON lines, as HTTP names them."""

_FORMATS: tuple[Literal["jsonl"] | Form, ...] = ("jsonl", *_TYPES)

_MOST_DIGITS = 6

_FRAMES_S = 1800.0
"""Seconds of audio. Their frames are some 7 MB of JSON, and ten times that as Python has them."""


router = APIRouter(tags=["jobs"], dependencies=[KEY_FIRST])


@router.get(
    "/v1/jobs/{id}/result",
    summary="The records of a job",
    response_class=StreamingResponse,
    responses={
        200: {"content": {kind: {"schema": {"type": "string"}} for kind in (LINES, *_TYPES.values())}},
        **error_responses(400, 401, 404, 422),
    },
    openapi_extra={
        "parameters": [
            query("format", "Of the answer.", type="string", enum=list(_FORMATS), default=_FORMATS[0]),
            query("file", "Of this file alone, by its number.", type="integer", minimum=0),
        ]
    },
)
async def result(request: Request, server: ServerState, job: OwnedJob) -> Response:
    """JSON lines, a table, or subtitles (of one file), of the files that are done so far; the header
    `X-Overtone-Job` says its state."""
    form = next((one for one in _FORMATS if one == request.query_params.get("format", _FORMATS[0])), None)
    if form is None:
        raise UsageError(f"format is {request.query_params['format']!r}; it is one of {', '.join(_FORMATS)}.")
    if job.state == "cancelled":
        raise RefusedError(f"job {job.id} was cancelled; nothing is kept of it.", code=Code.UNKNOWN)
    headers = {"X-Overtone-Job": job.state}
    records = await asyncio.to_thread(_records, server, job.id, request.query_params.get("file"))
    if form == "jsonl":
        return BodyChunks(records, LINES, headers)
    call, recognizer = call_of(job), server.host.recognizer
    level = call.detail_level(recognizer.options)
    if level == "frame" and (await asyncio.to_thread(server.store.repository.seconds, job.id))[1] > _FRAMES_S:
        raise UsageError(f"Of frames, {form} is made of up to {_FRAMES_S:.0f} s of audio; take JSON lines.")
    pieces = await asyncio.to_thread(convert_records, records, form, level, recognizer.labels, server.tabling)
    return BodyChunks(pieces, _TYPES[form], headers)


def _records(server: Server, id: str, number: str | None) -> Generator[bytes, None, None]:
    """The records of a job, or of one of its files, as JSON lines in pieces."""
    if number is None:
        return server.store.results(id)
    if not (number.isascii() and number.isdecimal() and len(number) <= _MOST_DIGITS):
        raise UsageError(f"file is {number[:20]!r}; it is the number of a file, from 0.")
    pieces = server.store.result(id, int(number))
    if pieces is None:
        raise RefusedError(f"the job has no file {number}, or it is not finished.", code=Code.UNKNOWN)
    return pieces
