"""`overtone` that waits for less long than it does, where a test would have to wait along.

    python tests/helpers/server/hurried_service.py serve …

The file `sooner` in the current folder says for how many seconds: a JSON object, by the names of `WAITS`.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType

from overtone.cli import main
from overtone.server import run, state
from overtone.server.cache.redis_store import RedisStore
from overtone.server.middleware import connection, requests


def _set(module: ModuleType, name: str, seconds: float) -> None:
    assert hasattr(module, name), name
    setattr(module, name, seconds)


def _trickle(seconds: float) -> None:
    limits = state._upload_limits
    state._upload_limits = lambda settings: dataclasses.replace(limits(settings), grace_s=seconds)


def _redis(seconds: float) -> None:
    defaults = RedisStore.__init__.__kwdefaults__
    assert "pause_s" in defaults
    defaults["pause_s"] = seconds


WAITS: dict[str, Callable[[float], None]] = {
    "head": partial(_set, connection, "HEAD_S"),
    "stalled": partial(_set, connection, "STALLED_S"),
    "kept_alive": partial(_set, run, "_KEEP_ALIVE_S"),
    "refused": partial(_set, requests, "_DRAINING_S"),
    "trickling": _trickle,
    "redis": _redis,
}
"""The head of a request, a client that reads nothing, a connection that asks nothing more, the rest of what is refused,
an upload that is too slow, and a Redis in trouble."""


def hurry() -> None:
    """Wait as the file says, if there is one."""
    if (said := Path("sooner")).exists():
        for name, seconds in json.loads(said.read_text(encoding="utf-8")).items():
            WAITS[name](seconds)


if __name__ == "__main__":
    hurry()
    main()
