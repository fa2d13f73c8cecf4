"""Errors as HTTP tells them: one table from their codes to statuses, and `application/problem+json` (RFC 9457)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from starlette.responses import JSONResponse, Response

from overtone.errors import BudgetError, Code, InputError, OvertoneError, RefusedError, UsageError

MEDIA_TYPE = "application/problem+json"

CLIENT_CLOSED = 499
"""nginx's status for a client that went before its answer; only counts and logs have it."""

STATUSES: Mapping[Code, tuple[int, str]] = {
    Code.USAGE: (400, "The request is wrong"),
    Code.BAD_REQUEST: (400, "The request is wrong"),
    Code.UNAUTHORIZED: (401, "A key is needed"),
    Code.FOREIGN: (403, "Not from there"),
    Code.UNKNOWN: (404, "There is no such thing"),
    Code.NOT_FOUND: (404, "There is no such thing"),
    Code.METHOD: (405, "That cannot be done here"),
    Code.UPLOAD_TIMEOUT: (408, "The upload was too slow"),
    Code.CONFLICT: (409, "Not as things are"),
    Code.TOO_LARGE: (413, "Too many bytes"),
    Code.TOO_LONG: (413, "Too much audio"),
    Code.OVER_BUDGET: (413, "More than the memory can hold"),
    Code.NOT_AUDIO: (415, "Not audio"),
    Code.UNSUPPORTED_TYPE: (415, "Not a form that is taken"),
    Code.BAD_INPUT: (422, "The audio cannot be used"),
    Code.KEY_REUSED: (422, "The key was used before"),
    Code.BUSY: (429, "Too busy"),
    Code.GONE: (CLIENT_CLOSED, "The client has gone"),
    Code.FAULT: (500, "A fault of the service"),
    Code.NOT_READY: (503, "Not ready"),
    Code.NO_SPACE: (503, "No room on disk"),
    Code.DEADLINE: (504, "Too late"),
}
"""Codes of errors, which the command line has too, and what HTTP says for them."""

_NOT_THERE = frozenset({Code.CLOSED, Code.CANCELLED, Code.UNWRITABLE, Code.BROKEN_STORE, Code.MISSING_EXTRA})
"""Codes of errors that are not the request's fault."""


def code_of(error: BaseException) -> Code:
    """The row of the table that an error belongs to."""
    if not isinstance(error, OvertoneError):
        return Code.FAULT
    if error.code in STATUSES:
        return Code(error.code)
    if isinstance(error, InputError):
        return Code.BAD_INPUT
    if isinstance(error, UsageError) and error.code not in _NOT_THERE:
        return Code.USAGE
    return Code.OVER_BUDGET if isinstance(error, BudgetError) else Code.NOT_READY


def status_of(error: BaseException) -> int:
    """The HTTP status of an error."""
    return STATUSES[code_of(error)][0]


def problem_of(error: BaseException, request_id: str) -> dict[str, Any]:
    """The body for an error, without anything that is not meant for users."""
    status, title = STATUSES[code_of(error)]
    # What is wrong with the service itself may name its files.
    detail = "The service met a fault of its own; its log has it under the request's id."
    if isinstance(error, RefusedError) or (isinstance(error, OvertoneError) and status < 500):
        detail = error.worded("http")
    return {
        "type": "about:blank",
        "title": title,
        "status": status,
        "code": str(error.code if isinstance(error, OvertoneError) else Code.FAULT),
        "detail": detail,
        "request_id": request_id,
    }


OPENAI = ("/v1/audio/", "/v1/models/")
"""Prefixes of the addresses that OpenAI's clients alone ask. They know errors of one form, and some statuses."""

_OPENAI_STATUSES = {415: 400, 422: 400}
"""OpenAI's status for audio that cannot be used, for which this service has several."""

_OPENAI_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}


def openai_error_of(error: BaseException, request_id: str) -> dict[str, Any]:
    """The same as `problem_of`, as OpenAI's clients read it."""
    problem, param = problem_of(error, request_id), getattr(error, "param", None)
    kind = _OPENAI_TYPES.get(problem["status"], "server_error" if problem["status"] >= 500 else "invalid_request_error")
    code = "model_not_found" if (problem["code"], param) == (Code.UNKNOWN, "model") else problem["code"]
    return {"error": {"message": problem["detail"], "type": kind, "param": param, "code": code}}


def problem_response(error: BaseException, request_id: str, path: str = "") -> Response:
    """The response that tells of an error, with `Retry-After` where it is known when to ask again. path: what was
    asked, which tells in what form."""
    status = status_of(error)
    headers = {}
    if isinstance(error, RefusedError) and error.retry_after_s is not None:
        headers["Retry-After"] = str(max(1, math.ceil(error.retry_after_s)))
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if path.startswith(OPENAI):
        return JSONResponse(openai_error_of(error, request_id), _OPENAI_STATUSES.get(status, status), headers)
    return JSONResponse(problem_of(error, request_id), status, headers, MEDIA_TYPE)
