"""Threads that wait for answers: turns among tenants, those for short files, and what is given up."""

from __future__ import annotations

import asyncio

import pytest

from overtone.batching.flow import Flow
from overtone.batching.slots import Claim
from overtone.errors import Code, RefusedError
from overtone.server.inference.thread_slots import MOST_WAITING, ThreadSlots


def asking(slots: ThreadSlots, count: int, tenant: str, *, short: bool = False) -> list[asyncio.Task[Claim]]:
    return [asyncio.create_task(slots.acquire(Flow(tenant), short=short)) for _ in range(count)]


async def settled(tasks: list[asyncio.Task[Claim]]) -> int:
    for _ in range(3):
        await asyncio.sleep(0)
    return sum(task.done() for task in tasks)


def test_long_files_of_one_key_leave_threads_to_others_and_to_short_ones() -> None:
    async def run() -> None:
        slots = ThreadSlots()
        many = asking(slots, 200, "many")
        assert 0 < (took := await settled(many)) < MOST_WAITING / 2
        assert await settled(asking(slots, 1, "one")) == 1
        assert 0 < await settled(asking(slots, 200, "many", short=True)) < MOST_WAITING - took
        slots.close()

    asyncio.run(run())


def test_short_files_of_one_key_still_fill_batches() -> None:
    async def run() -> None:
        slots = ThreadSlots()
        assert await settled(asking(slots, 200, "many", short=True)) == 64
        slots.close()

    asyncio.run(run())


def test_a_thread_that_is_given_back_or_no_longer_wanted_goes_to_the_next() -> None:
    async def run() -> None:
        slots = ThreadSlots()
        tasks = asking(slots, 34, "many")
        assert await settled(tasks) == 32
        tasks[32].cancel()
        slots.release(tasks[0].result())
        assert await settled(tasks) == 34
        assert tasks[32].cancelled()
        assert not tasks[33].cancelled()

    asyncio.run(run())


def test_whoever_waits_when_the_service_ends_and_whoever_comes_then_is_refused() -> None:
    async def run() -> None:
        slots = ThreadSlots()
        tasks = asking(slots, 40, "many")
        await settled(tasks)
        slots.release(tasks[0].result())  # another is granted, and has not heard of it yet
        slots.close()
        assert await settled(tasks) == 40
        tasks += asking(slots, 1, "late", short=True)
        await settled(tasks)
        for task in tasks[32:]:
            with pytest.raises(RefusedError) as refused:
                await task
            assert refused.value.code == Code.NOT_READY
        for task in tasks[1:32]:
            slots.release(task.result())
        assert (slots._slots.in_use, slots._slots.waiting, slots._waiting) == (0, 0, {})

    asyncio.run(run())
