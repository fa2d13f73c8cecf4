"""Answers in Redis, shared by several services, and nothing lost but time when it is not there."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

from overtone.errors import Code, UsageError
from overtone.server.cache.circuit_breaker import CircuitBreaker
from overtone.server.cache.redis_url import malformed, name_of
from overtone.server.cache.store import checked_ttl
from overtone.system.memory import MIB

PREFIX = "overtone:answer:"

TIMEOUT_S = 0.5
"""Seconds for one command, connecting included. A Redis nearby answers in a millisecond, one far away or behind TLS
in 50; a busy event loop may add to that. Longer than this is not worth waiting for where computing takes about as
long."""

PAUSE_S = 5.0
"""Seconds between commands to a Redis in trouble. A dead one costs one request in five seconds `TIMEOUT_S`, and one
that was restarted is soon used again."""

LARGEST_BYTES = 4 * MIB
"""Larger values are neither sent nor read: on 100 Mbit/s they would not come through in `TIMEOUT_S`, and Redis serves
no other client while it copies them."""

CONNECTIONS = 16
"""Connections at most. Redis runs one command at a time, so more would wait there rather than here."""


class RedisStore:
    """Answers in the Redis of a URL, under `prefix` and the key. Whatever happens to it, nothing here raises.

    While it does not answer, or refuses, `get` gives None and `put` drops the value. That is logged once, and Redis is
    asked again every `pause_s`, by a request that comes then. An empty value reads as none.

    `ttl_s`: seconds that an answer is kept; None leaves that to Redis and its `maxmemory-policy`.

    UsageError if redis-py is not installed or the URL is malformed.
    """

    held_bytes = 0

    def __init__(
        self,
        url: str,
        ttl_s: float | None = None,
        *,
        prefix: str = PREFIX,
        timeout_s: float = TIMEOUT_S,
        pause_s: float = PAUSE_S,
    ) -> None:
        self._ttl_s = checked_ttl(ttl_s)
        self._prefix = prefix
        self._timeout_s = timeout_s
        name = name_of(url)
        # Redis gone is one trouble; there and refusing to write (full, a replica) or to read (rights) are others, and
        # the one does not keep from the other.
        self._link = CircuitBreaker(name, pause_s)
        self._reading = CircuitBreaker(f"reading from {name}", pause_s)
        self._writing = CircuitBreaker(f"writing to {name}", pause_s)
        self.rejected_count = 0
        """Values found so far that were too large."""
        self._closed = False
        self._redis = _client(url, timeout_s)
        self._pool = self._redis.connection_pool
        settings = self._pool.connection_kwargs
        self._secrets = [settings[key] for key in ("password", "ssl_password") if settings.get(key)]

    @property
    def healthy(self) -> bool:
        """True if Redis answered, and did as it was asked, the last time."""
        return self.last_error is None

    @property
    def last_error(self) -> str | None:
        for breaker in (self._link, self._reading, self._writing):
            if breaker.last_error is not None:
                return f"{breaker.name}: {breaker.last_error}"
        return None

    @property
    def failure_count(self) -> int:
        """Failed commands so far, not counting those not sent during a pause."""
        return self._link.failure_count + self._reading.failure_count + self._writing.failure_count

    async def get(self, key: str) -> bytes | None:
        """The value under the key; None where there is none, it is too large, or Redis does not say."""
        # GETRANGE, as GET would bring whatever size somebody has left there. One byte more tells a cut value.
        value = await self._ask(self._reading, "GETRANGE", self._prefix + key, 0, LARGEST_BYTES)
        if not isinstance(value, bytes) or not value:
            return None
        if len(value) > LARGEST_BYTES:
            self.rejected_count += 1
            return None
        return value

    async def put(self, key: str, value: bytes) -> None:
        """Keep a value, if it is not too large and Redis takes it."""
        if len(value) <= LARGEST_BYTES:
            expiry = () if self._ttl_s is None else ("PX", max(1, round(self._ttl_s * 1000)))
            await self._ask(self._writing, "SET", self._prefix + key, value, *expiry)

    async def close(self) -> None:
        """Close the connections. Values stay in Redis."""
        self._closed = True
        with suppress(Exception):  # they are given up, however that goes
            await asyncio.wait_for(self._redis.aclose(), self._timeout_s)

    async def _ask(self, way: CircuitBreaker, *command: str | bytes | int) -> Any:
        """Answer of Redis; None where it is not asked, refuses or does not answer in time."""
        from redis.exceptions import ResponseError

        if self._closed or (turn := way.try_acquire()) is None or (link_turn := self._link.try_acquire()) is None:
            return None
        try:
            answer = await asyncio.wait_for(self._send(command), self._timeout_s)
        except ResponseError as error:
            self._link.record_success(link_turn)
            if str(error).startswith("WRONGTYPE"):
                way.failure_count += 1  # somebody else's value, which says nothing of Redis; putting ours replaces it
            else:
                way.record_failure(turn, self._said(error))
            return None
        except Exception as error:  # noqa: BLE001 - whatever a client of a cache raises, the answer can be computed
            self._link.record_failure(link_turn, self._said(error))
            return None
        self._link.record_success(link_turn)
        way.record_success(turn)
        return answer

    async def _send(self, command: tuple[str | bytes | int, ...]) -> Any:
        if self._link.last_error is not None:
            # Those that lie in the pool are likely to be as dead as the one that failed.
            await self._pool.disconnect(inuse_connections=False)
        return await self._redis.execute_command(*command)

    def _said(self, error: Exception) -> str:
        """An error in a line, without the passwords: an old Redis repeats the command that it does not know."""
        if isinstance(error, asyncio.TimeoutError):
            return f"no answer within {self._timeout_s:g} s"
        text = str(error).strip() or type(error).__name__
        for secret in self._secrets:
            text = text.replace(secret, "…")
        return text.splitlines()[0][:200].rstrip(".")


def _client(url: str, timeout_s: float) -> Any:
    """redis-py's client for a URL, with no connection made yet."""
    try:
        from redis.asyncio import BlockingConnectionPool, Redis
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff
        from redis.exceptions import ConnectionError as Lost
        from redis.exceptions import RedisError
    except ImportError as error:
        raise UsageError(
            "a cache in Redis needs redis-py: pip install 'overtone[server]'", code=Code.MISSING_EXTRA
        ) from error
    try:
        pool: Any = BlockingConnectionPool.from_url(
            url,
            max_connections=CONNECTIONS,
            timeout=timeout_s,
            socket_timeout=timeout_s,
            socket_connect_timeout=timeout_s,
            protocol=2,  # any Redis speaks it
            # Once more, as a connection that lay in the pool may have been closed by the other side.
            retry=Retry(NoBackoff(), 1, (Lost,)),
        )
        pool.make_connection()  # connects to nothing, and says what is wrong with the settings
    except (ValueError, TypeError, RedisError):  # their text may hold the password
        raise malformed("redis-py cannot use a setting in it") from None
    return Redis.from_pool(pool)
