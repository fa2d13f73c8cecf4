"""For tests of what lives in an event loop: one for each piece of work, and nothing left in it."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


def run(work: Coroutine[Any, Any, T], most_s: float = 60) -> T:
    """In a loop of its own, for so long at most; nothing may be left running, nothing may have gone wrong unseen."""
    unseen: list[dict[str, Any]] = []

    async def watched() -> T:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: unseen.append(context))
        try:
            return await asyncio.wait_for(work, most_s)
        finally:
            await settle()
            gc.collect(1)
            assert asyncio.all_tasks() == {asyncio.current_task()}

    result = asyncio.run(watched())
    assert unseen == []
    return result


async def settle() -> None:
    """Everything that can run without time passing has run."""
    for _ in range(20):
        await asyncio.sleep(0)


async def until(true: Callable[[], Awaitable[object]]) -> None:
    """Until something is true; ten seconds at most."""
    end = time.monotonic() + 10
    while time.monotonic() < end:
        if await true():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it never came true")


class Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


class Boom(Exception):  # noqa: N818 - it is none of the project's
    """What the work of these tests fails with, and which work it was."""


class Work:
    """Work that lasts until told; each time it is started it is another computation, counted from 0."""

    def __init__(self) -> None:
        self.made: list[asyncio.Future[None]] = []

    async def __call__(self) -> int:
        number = len(self.made)
        self.made.append(asyncio.get_running_loop().create_future())
        try:
            await self.made[-1]
        except Boom:
            raise Boom(number) from None
        return number

    @property
    def running(self) -> list[asyncio.Future[None]]:
        return [future for future in self.made if not future.done()]

    def land(self) -> None:
        for future in self.running:
            future.set_result(None)

    def crash(self) -> None:
        for future in self.running:
            future.set_exception(Boom())


def giving(value: bytes) -> Callable[[], Awaitable[bytes]]:
    async def make() -> bytes:
        await asyncio.sleep(0)
        return value

    return make


async def never() -> bytes:
    raise AssertionError("it was there")
