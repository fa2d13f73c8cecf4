"""Targets of requests that are whole URLs, as clients of a proxy send them (RFC 9112, section 3.2.2)."""

from __future__ import annotations

import re
from urllib.parse import unquote

from starlette.types import Scope

ABSOLUTE = rb"[Hh][Tt][Tt][Pp][Ss]?://(\[[0-9A-Fa-f:.]+\]|[0-9A-Za-z._~-]+)(:[0-9]{1,5})?(?=[/?]|\Z)"
"""Beginning of such a target: a scheme, a host without a name of a user (RFC 9110, section 4.2.4), a port."""

_ABSOLUTE = re.compile(ABSOLUTE)


def to_origin_form(scope: Scope) -> None:
    """Make of a URL in a scope's path the path alone, and of its host and port the Host, whatever that header says."""
    raw = scope.get("raw_path") or b""
    found = _ABSOLUTE.match(raw)
    if found is None:
        return
    scope["raw_path"] = raw[found.end() :] or b"/"
    scope["path"] = unquote(scope["raw_path"].partition(b"?")[0].decode("ascii")) or "/"
    authority = found[1] + (found[2] or b"")
    scope["headers"] = [*((name, value) for name, value in scope["headers"] if name != b"host"), (b"host", authority)]
