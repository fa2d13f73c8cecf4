"""`/v1/jobs`: long audio and many files, handed in now and fetched later."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from datetime import datetime, timezone
from typing import Annotated, Any, get_args

from fastapi import APIRouter, Depends, Path, Query, Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from overtone.errors import Code, InputError, OvertoneError, RefusedError, UsageError
from overtone.options.emotion import PER_CALL
from overtone.options.transcription import TRANSCRIBE_PER_CALL
from overtone.server.api.dependencies import (
    DETAIL,
    EMBEDDINGS,
    KEY_FIRST,
    KNOWN,
    UPLOAD_PARAMETERS,
    UPLOADED,
    RequestOwner,
    ServerState,
    call_of,
    error_responses,
    option_parameters,
    owner_of,
    parameters,
    query,
    upload_body,
    with_fields,
)
from overtone.server.api.events import ALIVE, ALIVE_S, HEADERS, MEDIA_TYPE
from overtone.server.api.idempotency import HEADER, idempotency_key, request_digest
from overtone.server.api.idempotency import PARAMETER as IDEMPOTENCY
from overtone.server.api.schemas import JobDetail, JobFileInfo, JobFiles, JobInfo, JobList, JobSeconds
from overtone.server.auth import Owner
from overtone.server.inference.model_host import was_unavailable
from overtone.server.inference.models import AnyPipeline, Task
from overtone.server.inference.request import InferenceRequest
from overtone.server.inference.upload_reader import claimed
from overtone.server.jobs.executor import call_of as call_of_job
from overtone.server.jobs.values import Job, NewFile, RequestKey
from overtone.server.state import Server
from overtone.server.uploads import Received, Upload, announced_bytes, receive

_EVENT_S = 0.5
"""Seconds between two looks at a job whose progress is watched."""

_TASKS: tuple[Task, ...] = get_args(Task)

_OWN = ("name", "task")

_KNOWN = tuple(dict.fromkeys((*KNOWN["emotion"], *KNOWN["transcribe"], *_OWN)))

_TASK = query("task", "What is asked.", type="string", enum=list(_TASKS), default="emotion")

_OPTIONS = [
    *option_parameters(*PER_CALL),
    *option_parameters(*(name for name in TRANSCRIBE_PER_CALL if name not in PER_CALL), task="transcribe"),
]

Id = Annotated[str, Path(description="The job's id.")]

_FILES = upload_body({"type": "array", "items": {"type": "string", "format": "binary"}})


router = APIRouter(tags=["jobs"], dependencies=[KEY_FIRST])


async def require_owned_job(server: ServerState, owner: RequestOwner, id: Id) -> Job:
    """A job, for who handed it in. RefusedError (unknown) for everybody else."""
    job = await asyncio.to_thread(server.store.repository.job, id)
    if job is None or job.owner != Owner.name_of(owner):
        raise RefusedError("there is no such job, or it has expired.", code=Code.UNKNOWN)
    return job


OwnedJob = Annotated[Job, Depends(require_owned_job)]
"""The job of the path, as a parameter of a route."""


@router.post(
    "/v1/jobs",
    status_code=202,
    summary="Hand in files",
    response_model=JobInfo,
    responses=error_responses(*UPLOADED, 409),
    openapi_extra={
        "requestBody": _FILES,
        "parameters": [IDEMPOTENCY, *UPLOAD_PARAMETERS, _TASK, EMBEDDINGS, DETAIL, *_OPTIONS],
    },
)
async def hand_in(request: Request, server: ServerState, owner: RequestOwner) -> Response:
    """Send one or many files, as parts called `file` or as the body. They are answered behind live requests."""
    key = idempotency_key(request)
    with server.jobs.receiving(Owner.name_of(owner), key):
        job = await _handed_in(request, server, owner, key)
    return _taken(await _info(server, job))


def _taken(job: JobInfo) -> Response:
    return JSONResponse(job.model_dump(), 202, {"Location": job.links["self"]})


async def _handed_in(request: Request, server: Server, owner: Owner | None, key: str | None) -> Job:
    """The job of a request: a new one, or that which it made when it came before."""
    name = Owner.name_of(owner)
    asked = parameters(request, _KNOWN)
    server.service.check_open()
    if "task" in asked or asked.keys() <= {*KNOWN["emotion"], *_OWN}:  # else the task may come in the form
        _call(server, owner, asked)
    before = None if key is None else await asyncio.to_thread(server.store.repository.job_of_key, name, key)
    if before is None:
        await server.jobs.check_room(name, 0.0, announced_bytes(request))
    received = await receive(server.spool, request)
    try:
        call = _call(server, owner, with_fields(asked, received.fields, _KNOWN))
        kept: dict[str, Any] = {"options": dict(call.options), "embedding": call.embedding}
        if call.task != "emotion":
            kept |= {"task": call.task, "detail": call.detail}
        digest = request_digest(kept, received.files)
        if before is None:
            files = await asyncio.to_thread(_files, server.host.answering(call.task), received)
            return await server.jobs.add(name, kept, files, None if key is None else RequestKey(key, digest))
        job, first_digest = before
        if digest != first_digest:
            raise RefusedError(
                f"the {HEADER} was used before, for job {job.id}, with other files or parameters; take a new one.",
                code=Code.KEY_REUSED,
            )
        return job
    finally:
        for upload in received.files:
            await asyncio.to_thread(upload.remove)


@router.get("/v1/jobs", summary="One's own jobs", responses=error_responses(400, 401))
async def jobs(
    request: Request,
    server: ServerState,
    limit: Annotated[int, Query(ge=1, le=100, description="Most jobs of one answer.")] = 20,
    cursor: Annotated[
        str | None, Query(pattern="^[0-9a-f]{32}$", description="Go on where an answer ended: its `next`.")
    ] = None,
) -> JobList:
    """The newest first, as they are now. `next` is the cursor of those that are older, null after the last."""
    owner = owner_of(request, server.keyring)  # here, so that a wrong number is refused as one before a wrong key
    find = server.store.repository.jobs_of
    try:
        found = await asyncio.to_thread(find, Owner.name_of(owner), limit + 1, cursor)
    except KeyError:
        raise UsageError("cursor is that of no job, or of one that has expired; begin without one.") from None
    listed = [await _info(server, job) for job in found[:limit]]
    return JobList(jobs=listed, next=listed[-1].id if len(found) > limit else None)


@router.get("/v1/jobs/{id}", summary="A job as it is now", responses=error_responses(401, 404))
async def status(server: ServerState, job: OwnedJob) -> JobDetail:
    """Its state, how far it is, and its files (the first thousand)."""
    files = await asyncio.to_thread(server.store.repository.files, job.id, 0, 1000)
    names = JobFileInfo.model_fields
    inputs = [JobFileInfo(**{name: getattr(file, name) for name in names}) for file in files]
    return JobDetail(**(await _info(server, job)).model_dump(), inputs=inputs)


@router.get(
    "/v1/jobs/{id}/events",
    summary="A job's progress as it happens",
    response_class=StreamingResponse,
    responses={200: {"content": {MEDIA_TYPE: {}}}, **error_responses(401, 404)},
)
async def events(server: ServerState, job: OwnedJob) -> Response:
    """Server-sent events: `progress` with the job whenever it changes, and `end` when it is finished."""
    return StreamingResponse(_events(server, job.id), media_type=MEDIA_TYPE, headers=HEADERS)


@router.delete("/v1/jobs/{id}", status_code=204, summary="Cancel a job", responses=error_responses(401, 404))
async def cancel(server: ServerState, job: OwnedJob) -> Response:
    """What runs is stopped, and uploads and results are deleted at once; also of a finished job."""
    await server.jobs.cancel(job.id)
    return Response(status_code=204)


@router.post(
    "/v1/jobs/{id}/retry",
    status_code=202,
    summary="Run again what was given up",
    response_model=JobInfo,
    responses=error_responses(401, 404, 409, 429, 503),
)
async def retry(server: ServerState, job: OwnedJob) -> Response:
    """Files that failed through no known fault of theirs, as with `gave_up`, wait again; what had been answered of them
    is not run again. Their audio is kept as long as the job."""
    server.service.check_open()
    if not await server.jobs.retry(job):
        raise RefusedError(
            f"job {job.id} is {job.state}, and has no file that failed and could be run again.", code=Code.CONFLICT
        )
    again = await asyncio.to_thread(server.store.repository.job, job.id)
    return _taken(await _info(server, again or job))


def _call(server: Server, owner: Owner | None, texts: Mapping[str, str]) -> InferenceRequest:
    """The request that a job stands for. UsageError, and RefusedError (unknown) for a task that is not served."""
    named = texts.get("task", "emotion")
    task = next((task for task in _TASKS if task == named), None)
    if task is None:
        raise UsageError(f"task is {named!r}; it is {' or '.join(_TASKS)}.")
    return call_of(server, owner, texts, _OWN, task)


def _files(pipeline: AnyPipeline, received: Received) -> list[NewFile]:
    """The uploads as files of a job. A file without audio, or one that is too long, is not refused here: its record
    will say so."""
    return [NewFile(upload.name, upload.path, upload.digest, _claim(pipeline, upload)) for upload in received.files]


def _claim(pipeline: AnyPipeline, upload: Upload) -> float | None:
    try:
        return claimed(pipeline, upload.path, upload.name, upload.size_bytes).seconds
    except InputError:
        return None
    except OvertoneError as error:
        if not was_unavailable(error):
            raise
        return None  # the model died meanwhile: the file waits for the next one


async def _info(server: Server, job: Job) -> JobInfo:
    done_s, total_s = await asyncio.to_thread(server.store.repository.seconds, job.id)
    done_s = min(total_s, done_s + server.jobs.progress.get(job.id)) if job.open else done_s
    rate = server.jobs.progress.rate(job.id)
    at = f"/v1/jobs/{job.id}"
    call = call_of_job(job)
    own = {"embeddings": call.embedding} if call.task == "emotion" else {"detail": call.detail}
    return JobInfo(
        id=job.id,
        state=job.state,
        made=_time(job.made_s),
        changed=_time(job.changed_s),
        expires=None if job.expires_s is None else _time(job.expires_s),
        task=call.task,
        options={**call.options, **own},
        files=JobFiles(**job.files),
        seconds=JobSeconds(done=round(done_s, 3), total=round(total_s, 3)),
        eta_s=round((total_s - done_s) / rate, 1) if job.open and rate else None,
        links={"self": at, "events": f"{at}/events", "result": f"{at}/result"},
    )


def _time(unix_s: float) -> str:
    return datetime.fromtimestamp(unix_s, timezone.utc).isoformat(timespec="seconds")


async def _events(server: Server, id: str) -> AsyncIterator[str]:
    """Progress until the job is finished, or the service ends. Made when asked for: a slow reader holds one of them."""
    last, quiet_s = "", 0.0
    while not server.service.draining.is_set():
        job = await asyncio.to_thread(server.store.repository.job, id)
        if job is None:
            break
        text = json.dumps((await _info(server, job)).model_dump())
        if text != last:
            yield f"event: progress\ndata: {text}\n\n"
            last, quiet_s = text, 0.0
        elif quiet_s >= ALIVE_S:
            yield ALIVE
            quiet_s = 0.0
        if not job.open:
            yield f"event: end\ndata: {json.dumps({'state': job.state})}\n\n"
            return
        await asyncio.sleep(_EVENT_S)
        quiet_s += _EVENT_S
