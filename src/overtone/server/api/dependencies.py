"""The dependencies that routes share: the server, the owner of a key, the request's parameters, its client."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Generator, Mapping, Sequence
from typing import Annotated, Any, TypeVar, get_type_hints

from fastapi import Depends
from starlette.concurrency import iterate_in_threadpool
from starlette.requests import HTTPConnection, Request
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from overtone.errors import Code, OvertoneError, RefusedError, UsageError
from overtone.options.check import kinds_of
from overtone.options.emotion import HELP, PER_CALL, Options
from overtone.options.transcription import TRANSCRIBE_HELP, TRANSCRIBE_PER_CALL, TranscribeOptions
from overtone.output.records import DETAILS
from overtone.server.api.params import boolean, detail_of, options_of
from overtone.server.api.problems import MEDIA_TYPE
from overtone.server.api.schemas import Problem
from overtone.server.auth import Keyring, Owner
from overtone.server.inference.models import Task, check_wish
from overtone.server.inference.request import InferenceRequest
from overtone.server.middleware.places import client_name
from overtone.server.state import Server

_T = TypeVar("_T")


async def get_server(connection: HTTPConnection) -> Server:
    """The server whose app got a request."""
    server: Server = connection.app.state.server
    return server


ServerState = Annotated[Server, Depends(get_server)]
"""The server, as a parameter of a route."""


def owner_of(connection: HTTPConnection, keyring: Keyring | None) -> Owner | None:
    """The owner of a request's key; None where the service has no keys. RefusedError (unauthorized)."""
    if keyring is None:
        return None
    scheme, _, key = connection.headers.get("authorization", "").partition(" ")
    owner = keyring.authenticate(key.strip()) if scheme.lower() == "bearer" else None
    if owner is None:
        raise RefusedError("a key is needed, as `Authorization: Bearer KEY`, and this is none.", code=Code.UNAUTHORIZED)
    connection.state.owner = owner.name
    return owner


def client_of(connection: HTTPConnection) -> str | None:
    """The name under which a client is counted, as `client_name`; None where no network brought it here."""
    return client_name(connection.client and connection.client.host)


async def get_owner(request: Request, server: ServerState) -> Owner | None:
    """The owner of a request's key, as `owner_of`."""
    return owner_of(request, server.keyring)


RequestOwner = Annotated[Owner | None, Depends(get_owner)]
"""The owner of the key, as a parameter of a route; the request is refused where it needs a key and has none."""

KEY_FIRST = Depends(get_owner)
"""The same for all routes of a router, before anything else of a request is looked at: its faults are said to owners of
keys alone."""


KNOWN: Mapping[Task, tuple[str, ...]] = {
    "emotion": ("model", "embeddings", *PER_CALL),
    "transcribe": ("model", "detail", *TRANSCRIBE_PER_CALL),
}
"""Parameters of a request for each task."""


def call_of(
    server: Server, owner: Owner | None, texts: Mapping[str, str], own: tuple[str, ...] = (), task: Task = "emotion"
) -> InferenceRequest:
    """The call that parameters and form fields describe. own: names that the route reads itself.

    UsageError for a name or a value that there is not, RefusedError (unknown) for a model that is not served.
    """
    answering = server.host.answering(task)
    given = {name: text for name, text in texts.items() if name not in own}
    model = given.pop("model", answering.runtime.model.name)
    if model != answering.runtime.model.name:
        raise RefusedError(
            f"there is no model {model!r} for that here; there is {answering.runtime.model.name!r}.", code=Code.UNKNOWN
        )
    if task == "emotion":
        embedding = boolean("embeddings", given.pop("embeddings", "false"))
        return InferenceRequest(options_of(given, answering.options), embedding, owner)
    detail = detail_of(given.pop("detail", "word"))
    options = options_of(given, answering.options)
    check_wish(server.host.transcriber, **options)
    return InferenceRequest(options, False, owner, task, detail)


def parameters(request: Request, known: Sequence[str]) -> dict[str, str]:
    """The query's parameters, each of them once. UsageError for one that is given twice or has no meaning here."""
    texts: dict[str, str] = {}
    for name, text in request.query_params.multi_items():
        if name in texts:
            raise UsageError(f"{name} is given twice.")
        if name not in known:
            raise UsageError(f"there is no parameter {name!r}; there are: {', '.join(known)}.")
        texts[name] = text
    return texts


QUERY_ONLY = ("name", "format")
"""Parameters that are needed before, or instead of, a form."""


def with_fields(asked: Mapping[str, str], fields: Mapping[str, str], known: Sequence[str]) -> dict[str, str]:
    """The query's parameters, and the fields of a form. known: names of the route's parameters.

    UsageError for one that is in both, and for a field that only the query may have.
    """
    if twice := asked.keys() & fields.keys():
        raise UsageError(f"{min(twice)} is given twice.")
    if misplaced := next((name for name in QUERY_ONLY if name in fields and name in known), None):
        raise UsageError(f"{misplaced} goes into the query, not the form.")
    return {**asked, **fields}


_LOG = logging.getLogger("overtone.server")


class BodyChunks(StreamingResponse):
    """An answer in pieces of files, which are closed also where the client goes before the last of them."""

    def __init__(self, pieces: Generator[bytes, None, None], media_type: str, headers: Mapping[str, str]) -> None:
        super().__init__(iterate_in_threadpool(pieces), media_type=media_type, headers=headers)
        self._pieces = pieces

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send them."""
        try:
            await super().__call__(scope, receive, send)
        except OvertoneError as error:
            # What was sent cannot be taken back, and must not look whole: without its end the connection is cut.
            _LOG.error("an answer was cut off: %s", error)
        finally:
            self._pieces.close()


async def cancel_on_disconnect(request: Request, work: Awaitable[_T]) -> _T:
    """The outcome of the work, which is cancelled where the client goes before: RefusedError (gone).

    Only once the body has been read: what comes after it can only be that the client has gone.
    """
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait((task, gone), return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise RefusedError("the client went away before it was answered.", code=Code.GONE)
        return task.result()
    finally:
        for left in (task, gone):
            left.cancel()
        await asyncio.gather(task, gone, return_exceptions=True)


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def error_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The problems that a route may answer with, for the OpenAPI page."""
    schema = {"$ref": f"#/components/schemas/{Problem.__name__}"}
    return {
        status: {"description": _TITLES[status], "content": {MEDIA_TYPE: {"schema": schema}}} for status in statuses
    }


_TITLES = {
    400: "The request is wrong: an option, a form.",
    401: "A key is needed.",
    404: "There is no such thing here.",
    408: "The upload was too slow, or stopped.",
    409: "It cannot be done as things are.",
    413: "Too many bytes, or too many seconds of audio.",
    415: "The body's type is not taken, or the file is no audio.",
    422: "It is audio, and cannot be used: damaged, too short, without a sample. Or a key that was used before.",
    429: "Too busy; `Retry-After` says when to ask again.",
    503: "The service is not ready, or has no room.",
    504: "It was not answered in time.",
}

UPLOADED = (400, 401, 404, 408, 413, 415, 422, 429, 503, 504)
"""The problems that a route with an upload may answer with."""


def option_parameters(*names: str, task: Task = "emotion") -> list[dict[str, Any]]:
    """The options of a call as OpenAPI has parameters, from the options themselves."""
    options, texts = (Options, HELP) if task == "emotion" else (TranscribeOptions, TRANSCRIBE_HELP)
    hints = get_type_hints(options)
    return [query(name, texts[name], **_schema(hints[name])) for name in names]


def _schema(hint: Any) -> dict[str, Any]:
    kinds = [kind for kind in kinds_of(hint) if kind is not type(None)]
    if all(isinstance(kind, str) for kind in kinds):
        return {"type": "string", "enum": kinds}
    if bool in kinds:
        return {"type": "boolean"}
    if str in kinds:
        return {"type": "string"}
    return {"type": "integer", "minimum": 1} if int in kinds else {"type": "number", "exclusiveMinimum": 0}


LINES = "application/x-ndjson"
"""JSON lines."""


def query(name: str, text: str, **schema: Any) -> dict[str, Any]:
    """A parameter of the query as OpenAPI has it. schema: `type`, and what else there is to say of its values."""
    return {"name": name, "in": "query", "required": False, "description": text, "schema": schema}


UPLOAD_PARAMETERS = (
    query("name", "What the answer calls the file, where the body is the file itself.", type="string"),
    query("model", "The model that is served, to be sure of it; see /v1/models.", type="string"),
)
"""The parameters of every route with an upload."""

EMBEDDINGS = query(
    "embeddings", "Put the embedding, the mean over all frames, into the record.", type="boolean", default=False
)

DETAIL = query(
    "detail",
    "How much a record says: text; its sentences; and their words with times.",
    type="string",
    enum=list(DETAILS),
    default="word",
)


def upload_body(file: dict[str, Any]) -> dict[str, Any]:
    """The body of a route with an upload as OpenAPI has it. file: the schema of the form's field."""
    form = {"type": "object", "required": ["file"], "properties": {"file": file}}
    plain = {"schema": {"type": "string", "format": "binary"}}
    content = {"multipart/form-data": {"schema": form}, "application/octet-stream": plain}
    return {"required": True, "content": content}
