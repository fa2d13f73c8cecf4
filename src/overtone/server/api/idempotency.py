"""`Idempotency-Key`: a request that is sent again is no second job.

After draft-ietf-httpapi-idempotency-key-header-07 (https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/):
the value is a String as RFC 8941 has it, in quotes; many clients leave them out, so that is taken too.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from starlette.requests import Request

from overtone.errors import UsageError
from overtone.server.uploads import Upload

HEADER = "Idempotency-Key"

MOST_CHARACTERS = 255

_QUOTED = re.compile(r'"((?:[ !#-\[\]-~]|\\["\\])+)"')
"""sf-string of RFC 8941, 3.3.3: printable ASCII, with a backslash before a quote and a backslash."""

_BARE = re.compile(r"[!#-+\--:<-\[\]-~]+")
"""Printable ASCII, but for quotes, backslashes, and the commas and semicolons that join values."""

PARAMETER: dict[str, Any] = {
    "name": HEADER,
    "in": "header",
    "required": False,
    "description": "Text of the client's choice, best a UUID in quotes, that is another for every job. The same "
    "request sent again with the same key is the same job, as long as that is kept.",
    "schema": {
        "type": "string",
        "minLength": 1,
        "maxLength": MOST_CHARACTERS,
        "pattern": f"^(?:{_QUOTED.pattern}|{_BARE.pattern})$",
    },
    "example": '"8e03978e-40d5-43dd-bc93-6894a57f9324"',
}
"""The header as OpenAPI has it."""


def idempotency_key(request: Request) -> str | None:
    """The key of a request; None if it has none. UsageError for one that is too long or malformed, or for several."""
    values = request.headers.getlist(HEADER)
    if not values:
        return None
    if len(values) > 1:
        raise UsageError(f"{HEADER} is given {len(values)} times.")
    text = values[0].strip()
    if len(text) > MOST_CHARACTERS:
        raise UsageError(f"{HEADER} has {len(text)} characters; {MOST_CHARACTERS} are the most.")
    if quoted := _QUOTED.fullmatch(text):
        return re.sub(r"\\(.)", r"\1", quoted[1])
    if _BARE.fullmatch(text):
        return text
    raise UsageError(
        f"{HEADER} is malformed; it is a text of printable ASCII in quotes, such as "
        '"8e03978e-40d5-43dd-bc93-6894a57f9324".'
    )


def request_digest(asked: Mapping[str, Any], files: Sequence[Upload]) -> str:
    """A digest of what a request asks of which files, so that the same request has the same one."""
    content = [asked, [[file.name, file.size_bytes, file.digest] for file in files]]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
