"""Errors as HTTP tells them: one table from their codes to statuses, and `application/problem+json` (RFC 9457)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from starlette.responses import JSONResponse, Response

from overtone.errors import BudgetError, InputError, OvertoneError, RefusedError, UsageError

MEDIA_TYPE = "application/problem+json"

CLIENT_CLOSED = 499
"""What nginx calls a client that went before its answer; nobody receives it, and counts and logs do."""

STATUSES: Mapping[str, tuple[int, str]] = {
    "usage": (400, "The request is wrong"),
    "bad_request": (400, "The request is wrong"),
    "unauthorized": (401, "A key is needed"),
    "foreign": (403, "Not from there"),
    "unknown": (404, "There is no such thing"),
    "not_found": (404, "There is no such thing"),
    "method": (405, "That cannot be done here"),
    "upload_timeout": (408, "The upload was too slow"),
    "too_large": (413, "Too many bytes"),
    "too_long": (413, "Too much audio"),
    "over_budget": (413, "More than the memory can hold"),
    "not_audio": (415, "Not audio"),
    "unsupported_type": (415, "Not a form that is taken"),
    "bad_input": (422, "The audio cannot be used"),
    "busy": (429, "Too busy"),
    "gone": (CLIENT_CLOSED, "The client has gone"),
    "fault": (500, "A fault of the service"),
    "not_ready": (503, "Not ready"),
    "no_space": (503, "No room on disk"),
    "deadline": (504, "Too late"),
}
"""Codes of errors, which the command line has too, and what HTTP says for them."""

_NOT_THERE = frozenset({"closed", "cancelled", "unwritable", "broken_store", "missing_extra"})
"""Codes of what is not the request's doing."""


def code_of(error: BaseException) -> str:
    """The row of the table that an error belongs to."""
    if not isinstance(error, OvertoneError):
        return "fault"
    if error.code in STATUSES:
        return error.code
    if isinstance(error, InputError):
        return "bad_input"
    if isinstance(error, UsageError) and error.code not in _NOT_THERE:
        return "usage"
    return "over_budget" if isinstance(error, BudgetError) else "not_ready"


def status_of(error: BaseException) -> int:
    """What HTTP says for an error."""
    return STATUSES[code_of(error)][0]


def problem_of(error: BaseException, request_id: str) -> dict[str, Any]:
    """The body that tells of an error. What is not meant for users is not in it."""
    status, title = STATUSES[code_of(error)]
    # What is wrong with the service itself may name its files.
    told = isinstance(error, RefusedError) or (isinstance(error, OvertoneError) and status < 500)
    return {
        "type": "about:blank",
        "title": title,
        "status": status,
        "code": error.code if isinstance(error, OvertoneError) else "fault",
        "detail": str(error) if told else "The service met a fault of its own; its log has it under the request's id.",
        "request_id": request_id,
    }


OPENAI = "/v1/audio/"
"""What the addresses begin with that OpenAI's clients ask. They know errors of one form, and some statuses."""

_OPENAI_STATUSES = {415: 400, 422: 400}
"""What OpenAI answers for audio that cannot be used, where this service has statuses of their own."""

_OPENAI_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}


def openai_error_of(error: BaseException, request_id: str) -> dict[str, Any]:
    """The same as `problem_of`, as OpenAI's clients read it."""
    problem, param = problem_of(error, request_id), getattr(error, "param", None)
    kind = _OPENAI_TYPES.get(problem["status"], "server_error" if problem["status"] >= 500 else "invalid_request_error")
    code = "model_not_found" if (problem["code"], param) == ("unknown", "model") else problem["code"]
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
