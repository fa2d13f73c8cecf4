"""The ASGI app: routes, errors as problems, and the outermost layer."""

from __future__ import annotations

import logging

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response

import overtone
from overtone.errors import Code, OvertoneError, RefusedError, UsageError
from overtone.server.api import emotion, jobs, openai, problems, results, status, stream, transcription
from overtone.server.api.schemas import Problem
from overtone.server.descriptors import MOST_CONNECTIONS
from overtone.server.middleware.connection_limit import ConcurrencyLimits, ConnectionLimit
from overtone.server.middleware.origins import OriginPolicy
from overtone.server.middleware.requests import RequestMiddleware
from overtone.server.observability.logs import request_id
from overtone.server.state import Server

_ABOUT = """
The emotion in speech, and what is said in it, over HTTP and WebSocket. Errors are `application/problem+json`, with the
codes of the command line; under `/v1/audio/` and `/v1/models/`, where OpenAI's clients ask, they have OpenAI's form.
`WS /v1/stream` takes PCM16, Opus or WebM and tells the emotion as it is spoken; it is described in `docs/server.md`.
"""

_LOG = logging.getLogger("overtone.server")

_EXPOSED = [
    *("server-timing", "x-overtone-cache", "x-overtone-job", "x-overtone-warnings", "x-request-id"),
    *("retry-after", "location"),
]
"""Headers of answers that pages of others may read, where they may call at all."""

_CODES = {404: Code.UNKNOWN, 405: Code.METHOD}


def create_app(server: Server) -> FastAPI:
    """The app of a server, which whoever runs it opens and closes."""
    app = FastAPI(title="Overtone", version=overtone.__version__, description=_ABOUT, docs_url=None, redoc_url=None)
    app.state.server = server
    for part in (emotion, transcription, openai, jobs, results, status, stream):
        app.include_router(part.router)
    app.add_exception_handler(OvertoneError, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _fault)
    if server.settings.origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=server.settings.origins,
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["authorization", "content-type", "idempotency-key", "x-request-id"],
            expose_headers=_EXPOSED,
        )
    _describe_problems(app)
    return app


def wrapped(app: FastAPI, server: Server, connections: int = MOST_CONNECTIONS) -> RequestMiddleware:
    """The app with the outermost layers around it, which also see what the framework itself refuses.

    connections: how many may be open.
    """
    settings = server.settings
    private = settings.loopback and server.keyring is None and not settings.allow_anyone
    limited = ConnectionLimit(app, ConcurrencyLimits.within(connections, settings.client_requests))
    origins = OriginPolicy(settings.origins, private=private, host=settings.host)
    return RequestMiddleware(limited, server.metrics, origins)


def _told(request: Request, error: OvertoneError) -> Response:
    request.state.refused = problems.code_of(error)
    if problems.status_of(error) >= 500 and not isinstance(error, RefusedError):
        # The answer does not say it; and no log has paths.
        _LOG.error("the service could not do it: %s (%s)", error.code, getattr(error.__cause__, "strerror", None))
    return problems.problem_response(error, request_id() or "", request.url.path)


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, OvertoneError)
    return _told(request, error)


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    return _told(request, UsageError(f"{'.'.join(map(str, first['loc'][1:]))}: {first['msg']}"))


async def _fault(request: Request, error: Exception) -> Response:
    """Response to any other error, which is raised on after this, and logged."""
    request.state.refused = problems.code_of(error)
    return problems.problem_response(error, request_id() or "", request.url.path)


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = _CODES.get(error.status_code, Code.BAD_REQUEST)
    response = _told(request, RefusedError(f"{request.method} {request.url.path}: {error.detail}.", code=code))
    response.headers.update(error.headers or {})
    return response


def _describe_problems(app: FastAPI) -> None:
    """Put the schema of problems where the routes refer to it."""
    made = app.openapi

    def openapi() -> dict[str, object]:
        whole = made()
        schemas = whole.setdefault("components", {}).setdefault("schemas", {})
        schemas[Problem.__name__] = Problem.model_json_schema()
        for unused in ("HTTPValidationError", "ValidationError"):
            schemas.pop(unused, None)
        for path in whole["paths"].values():
            for operation in path.values():
                operation["responses"].pop("422", None) if _is_default(operation) else None
        return whole

    app.openapi = openapi  # type: ignore[method-assign]  # how FastAPI has its page extended


def _is_default(operation: dict[str, object]) -> bool:
    """True if an operation's 422 is the framework's, which never comes: its meaning is a 400 here."""
    responses = operation["responses"]
    assert isinstance(responses, dict)
    return "HTTPValidationError" in str(responses.get("422"))
