"""The address of a Redis: checked, and named without what is secret in it."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, urlsplit

from overtone.errors import UsageError

REMEDY = (
    "write it like redis://:password@host:6379/0, rediss://host:6379/0 (TLS) or unix:///run/redis.sock?db=0, "
    "and percent-encode what is special in a password"
)

_OPTIONS = re.compile("db|username|password|client_name|ssl_[a-z_]+")
"""What may stand after the `?`. redis-py would take all its settings from there, the time limits too."""


def name_of(url: str) -> str:
    """What to call the Redis of a URL in messages. UsageError if it is malformed; no part of it is repeated then."""
    try:
        parts = urlsplit(url)
        port = parts.port or 6379
        options = parse_qsl(parts.query, strict_parsing=True) if parts.query else []
    except ValueError:  # its text may hold the password
        raise malformed("it cannot be read") from None
    if parts.scheme not in ("redis", "rediss", "unix"):
        raise malformed("it begins with none of redis://, rediss:// and unix://")
    if parts.fragment or not all(_OPTIONS.fullmatch(name) for name, _ in options):
        raise malformed("it ends in what is no setting; db, username, password, client_name and ssl_… are")
    if parts.scheme == "unix":
        if parts.hostname or not parts.path.strip("/"):
            raise malformed("it names no socket by its whole path")
        return f"Redis at {parts.path}"
    if not parts.hostname:
        raise malformed("it names no host")
    if not re.fullmatch("/?|/[0-9]+", parts.path):
        raise malformed("what follows the host is not the number of a database")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"Redis at {host}:{port}"


def malformed(why: str) -> UsageError:
    """The error for an address that is of no use, without the address: it may hold a password."""
    return UsageError(f"the address of the Redis for the cache: {why}; {REMEDY}.", code="bad_redis_url")
