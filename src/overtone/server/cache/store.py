"""Protocol of a store of answers."""

from __future__ import annotations

from typing import Protocol

from overtone.errors import UsageError

MOST_TTL_S = 100 * 365 * 86_400
"""A hundred years. Longer is a slip, and Redis refuses what overflows its clock."""


class Store(Protocol):
    """Answers by key, for one event loop. Nothing here raises: a failure is a miss, or is not kept, and is counted."""

    @property
    def healthy(self) -> bool:
        """True if it did its last command."""

    @property
    def last_error(self) -> str | None:
        """Text of its last failure; None while nothing is wrong. Shows no password."""

    @property
    def failure_count(self) -> int:
        """Failed commands so far."""

    @property
    def rejected_count(self) -> int:
        """Values found so far that it did not take for answers."""

    @property
    def held_bytes(self) -> int:
        """Memory of this process that it holds."""

    async def get(self, key: str) -> bytes | None:
        """The value under the key, or None."""

    async def put(self, key: str, value: bytes) -> None:
        """Keep a value under the key, in place of an older one; or do not, where there is no room for it."""

    async def close(self) -> None:
        """Free all values; every `get` after that is None."""


def checked_ttl(ttl_s: float | None) -> float | None:
    """Seconds that an answer is kept, None for no end. UsageError where they are no such number."""
    if ttl_s is not None and not 0 < ttl_s <= MOST_TTL_S:
        raise UsageError(
            f"answers cannot be kept for {ttl_s} s; give more than 0 and up to {MOST_TTL_S:,}, or none for no end."
        )
    return ttl_s
