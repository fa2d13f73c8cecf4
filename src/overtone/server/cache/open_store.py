"""Store of answers opened from a setting."""

from __future__ import annotations

from overtone.errors import UsageError
from overtone.server.cache.memory import MemoryStore
from overtone.server.cache.redis_store import RedisStore
from overtone.server.cache.store import Store, checked_ttl


def open_store(cache: str, capacity_bytes: int, ttl_s: float | None) -> Store:
    """Open the store that `cache` names: `memory`, `off`, or the URL of a Redis.

    UsageError for any other name, which is not repeated: it may be a URL with a password.

    - `capacity_bytes`: of `memory` alone.
    - `ttl_s`: seconds that an answer is kept, None for no end.
    """
    if cache == "memory":
        return MemoryStore(capacity_bytes, ttl_s)
    if cache == "off":
        checked_ttl(ttl_s)
        return MemoryStore(0)
    if "://" in cache:
        return RedisStore(cache, ttl_s)
    raise UsageError("the cache is neither memory nor off nor an address like redis://host:6379/0; name one of them.")
