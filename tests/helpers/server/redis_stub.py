"""redis-py's client over a dictionary, for tests of what is in a Redis and not of how it is reached."""

from __future__ import annotations

from typing import Any

import pytest

from overtone.server.cache import redis_store


class RedisStub:
    """The commands that a store sends, done on `values`, which a test may change."""

    connection_kwargs: dict[str, Any] = {}  # noqa: RUF012 - as a pool has them

    def __init__(self) -> None:
        self.values: dict[str, bytes] = {}

    @property
    def connection_pool(self) -> RedisStub:
        return self

    async def execute_command(self, command: str, key: str, *rest: Any) -> bytes | None:
        if command == "SET":
            self.values[key] = rest[0]
            return b"OK"
        assert command == "GETRANGE"
        begin, last = rest
        return self.values.get(key, b"")[begin : last + 1]

    async def aclose(self) -> None:
        pass


def stub_redis(monkeypatch: pytest.MonkeyPatch) -> RedisStub:
    """Every Redis from now on in a test."""
    stub = RedisStub()
    monkeypatch.setattr(redis_store, "_client", lambda *_: stub)
    return stub
