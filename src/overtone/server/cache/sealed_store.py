"""Values kept where others may write: each sealed with a secret, and taken only if the seal holds."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Callable

from overtone.server.cache.store import Store

MAGIC = b"OTS1"
"""First bytes of every sealed value: the form, and its version."""

_MAC_BYTES = 32
_DOMAIN = b"overtone answer 1"

_LARGE_BYTES = 256 << 10
"""Values beyond this are checked in a thread: it takes milliseconds, in which the loop would answer no one."""


class SealedStore:
    """The answers of another store, each under HMAC-SHA256 of its key and content.

    A value reads as none, and is counted, where it was sealed with another secret or under another key, was changed or
    cut short, has no seal, or is sealed and yet no answer.

    - `secret`: 32 bytes or more; the services that share the store have the same one.
    - `readable`: whether a value is an answer; called with values whose seal holds.

    Source: RFC 2104 (HMAC), RFC 6234 (SHA-256).
    """

    def __init__(self, store: Store, secret: bytes, readable: Callable[[bytes], bool]) -> None:
        self._store = store
        self._secret = secret
        self._readable = readable
        self._rejected = 0

    @property
    def healthy(self) -> bool:
        return self._store.healthy

    @property
    def last_error(self) -> str | None:
        return self._store.last_error

    @property
    def failure_count(self) -> int:
        return self._store.failure_count

    @property
    def rejected_count(self) -> int:
        return self._rejected + self._store.rejected_count

    @property
    def held_bytes(self) -> int:
        return self._store.held_bytes

    async def get(self, key: str) -> bytes | None:
        """The value under the key, if it was sealed there."""
        sealed = await self._store.get(key)
        if sealed is None:
            return None
        large = len(sealed) > _LARGE_BYTES
        value = await asyncio.to_thread(self._open, key, sealed) if large else self._open(key, sealed)
        if value is None:
            self._rejected += 1
        return value

    async def put(self, key: str, value: bytes) -> None:
        """Seal a value and keep it."""
        await self._store.put(key, MAGIC + self._mac(key, value) + value)

    async def close(self) -> None:
        """Close the other store."""
        await self._store.close()

    def _open(self, key: str, sealed: bytes) -> bytes | None:
        mac_at, value_at = len(MAGIC), len(MAGIC) + _MAC_BYTES
        value = sealed[value_at:]
        if sealed[:mac_at] != MAGIC or not hmac.compare_digest(sealed[mac_at:value_at], self._mac(key, value)):
            return None
        return value if self._readable(value) else None

    def _mac(self, key: str, value: bytes) -> bytes:
        """The seal. The key's length comes before it, so that no other key and value run together into the same."""
        name = key.encode()
        mac = hmac.new(self._secret, b"%s\n%d\n" % (_DOMAIN, len(name)), "sha256")
        mac.update(name)
        mac.update(value)
        return mac.digest()
