"""Store of answers opened from a setting."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from overtone.errors import UsageError
from overtone.server.cache.memory import MemoryStore
from overtone.server.cache.redis_store import RedisStore
from overtone.server.cache.sealed_store import SealedStore
from overtone.server.cache.secret import cache_secret
from overtone.server.cache.store import Store, checked_ttl


def open_store(
    cache: str,
    capacity_bytes: int,
    ttl_s: float | None,
    *,
    secret_file: Path | None = None,
    readable: Callable[[bytes], bool] = bool,
) -> Store:
    """Open the store that `cache` names: `memory`, `off`, or the URL of a Redis.

    UsageError for any other name, which is not repeated: it may be a URL with a password; and for a secret that cannot
    be used.

    - `capacity_bytes`: of `memory` alone.
    - `ttl_s`: seconds that an answer is kept, None for no end.
    - `secret_file`: the secret that values in Redis are sealed with; None makes one for this run.
    - `readable`: whether a value from Redis is an answer, once its seal was found to hold.
    """
    if cache == "memory":
        return MemoryStore(capacity_bytes, ttl_s)
    if cache == "off":
        checked_ttl(ttl_s)
        return MemoryStore(0)
    if "://" in cache:
        store = RedisStore(cache, ttl_s)
        return SealedStore(store, cache_secret(secret_file), readable)
    raise UsageError("the cache is neither memory nor off nor an address like redis://host:6379/0; name one of them.")
