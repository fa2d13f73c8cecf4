"""The secret that answers are sealed with: from a file, or made for one run."""

from __future__ import annotations

import logging
import os
import secrets
import shlex
import stat
from pathlib import Path

from overtone.errors import UsageError
from overtone.wording import param, worded

LEAST_BYTES = 32
"""As many as the hash has: a shorter secret would be easier to guess than the seal (RFC 2104, section 3)."""

MOST_BYTES = 4096

_LOG = logging.getLogger("overtone.server.cache")

_REMEDY = "make one with: (umask 077; openssl rand -hex 32 > {path})"


def cache_secret(path: Path | None) -> bytes:
    """The secret in a file; without one a random secret, which the log says.

    UsageError where the file is missing, open to others than its owner, too short or too long.
    """
    if path is not None:
        return read_secret(path)
    _LOG.warning(
        "%s is not given: answers in Redis are sealed with a secret made for this run, so after a restart, and by "
        "other services, they are computed anew.",
        worded(param("cache_secret_file")),
    )
    return secrets.token_bytes(LEAST_BYTES)


def read_secret(path: Path) -> bytes:
    """The secret in a file, without white space around it. UsageError as `cache_secret`; shows nothing of it."""
    remedy = _REMEDY.format(path=shlex.quote(str(path)))
    try:
        if not path.is_file():
            raise UsageError(f"{path}: there is no such file with the cache's secret; {remedy}")
        with open(path, "rb") as file:
            if stat.S_IMODE(os.fstat(file.fileno()).st_mode) & 0o077:
                raise UsageError(
                    f"{path}: others than its owner can read or write it. Run: chmod 600 {shlex.quote(str(path))}"
                )
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror or error}.") from error
    secret = content.strip()
    if len(content) > MOST_BYTES or len(secret) < LEAST_BYTES:
        found = f"more than {MOST_BYTES}" if len(content) > MOST_BYTES else str(len(secret))
        raise UsageError(f"{path}: has {found} bytes, and a secret has {LEAST_BYTES} to {MOST_BYTES}; {remedy}")
    return secret
