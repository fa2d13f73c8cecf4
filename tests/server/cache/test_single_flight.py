"""The same work asked for at once is done once, whoever comes and goes meanwhile."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.server.loops import Boom, Work, run, settle
from overtone.errors import RefusedError
from overtone.server.cache import SingleFlight

STEPS = ["join", "join", "leave", "leave", "land", "crash", "settle", "tick"]


def test_what_is_asked_for_at_once_is_computed_once() -> None:
    async def check() -> None:
        flights, work = SingleFlight(), Work()
        waiters = [asyncio.create_task(flights.run("k", work)) for _ in range(5)]
        other = asyncio.create_task(flights.run("other", work))
        await settle()
        assert len(work.made) == len(flights) == 2
        work.land()
        assert await asyncio.gather(*waiters) == [(0, False)] + [(0, True)] * 4
        assert await other == (1, False)
        again = asyncio.create_task(flights.run("k", work))
        await settle()
        work.land()
        assert await again == (2, False)

    run(check())


def test_an_error_reaches_all_and_nobody_after() -> None:
    async def check() -> None:
        flights, work = SingleFlight(), Work()
        waiters = [asyncio.create_task(flights.run("k", work)) for _ in range(3)]
        await settle()
        work.crash()
        late = asyncio.create_task(flights.run("k", work))  # comes when it has failed and nobody has heard of it yet
        assert [str(error) for error in await asyncio.gather(*waiters, return_exceptions=True)] == ["0"] * 3
        await settle()
        work.land()
        assert await late == (1, False)

    run(check())


@pytest.mark.parametrize("steps", range(6))
def test_a_failure_after_which_all_leave_at_once_is_no_complaint(steps: int) -> None:
    async def check() -> None:
        flights, work = SingleFlight(), Work()
        waiter = asyncio.create_task(flights.run("k", work))
        await settle()
        work.crash()
        for _ in range(steps):
            await asyncio.sleep(0)
        waiter.cancel()
        await asyncio.wait([waiter])
        assert waiter.cancelled() or isinstance(waiter.exception(), Boom)

    run(check())


def test_work_that_fails_before_it_starts_to_wait() -> None:
    def no_work() -> Awaitable[int]:
        raise Boom("at once")

    async def check() -> None:
        flights = SingleFlight()
        found = await asyncio.gather(*(flights.run("k", no_work) for _ in range(3)), return_exceptions=True)
        assert [str(error) for error in found] == ["at once"] * 3

    run(check())


@pytest.mark.parametrize("settled", [True, False])
@pytest.mark.parametrize("end", ["land", "crash"])
def test_leaving_in_every_order_with_the_end_at_every_place(end: str, settled: bool) -> None:
    async def check(order: tuple[int, ...], place: int) -> None:
        flights, work = SingleFlight(), Work()
        waiters = [asyncio.create_task(flights.run("k", work)) for _ in range(3)]
        await settle()
        for step, who in enumerate(order):
            if step == place:
                getattr(work, end)()
                await settle()
            assert len(work.running) == (step < place or None in order)
            waiters[who].cancel()
            if settled:
                await settle()
        await settle()
        assert work.running == []
        assert work.made[0].cancelled() == (place == 3)
        found = await asyncio.gather(*waiters, return_exceptions=True)
        for step, who in enumerate(order):
            if step < place:
                assert isinstance(found[who], asyncio.CancelledError)
            else:
                assert str(found[who]) == "0" if end == "crash" else found[who] == (0, who > 0)
        assert len(flights) == 0

    for order in itertools.permutations(range(3)):
        for place in range(4):
            run(check(order, place))


def test_who_comes_just_after_the_last_has_left_starts_anew() -> None:
    async def check() -> None:
        flights, work = SingleFlight(), Work()
        cleaning = asyncio.Event()

        async def slow_to_stop() -> int:
            try:
                return await work()
            finally:
                await cleaning.wait()

        first = asyncio.create_task(flights.run("k", slow_to_stop))
        await settle()
        first.cancel()
        await settle()
        assert first.cancelled()
        assert len(flights) == 1  # it still cleans up
        second = asyncio.create_task(flights.run("k", work))
        await settle()
        cleaning.set()
        await settle()
        third = asyncio.create_task(flights.run("k", work))
        await settle()
        work.land()
        assert await asyncio.gather(second, third) == [(1, False), (1, True)]

    run(check())


def test_work_is_not_lost_to_who_joins_while_the_last_is_being_cancelled() -> None:
    async def check() -> None:
        flights, work = SingleFlight(), Work()
        first = asyncio.create_task(flights.run("k", work))
        await settle()
        second = asyncio.create_task(flights.run("k", work))
        await asyncio.sleep(0)
        first.cancel()
        await settle()
        work.land()
        assert await second == (0, True)
        assert first.cancelled()

    run(check())


def test_work_cancelled_by_others_is_an_error_and_no_cancellation() -> None:
    async def stopped() -> int:
        raise asyncio.CancelledError

    async def check() -> None:
        flights = SingleFlight()
        found = await asyncio.gather(*(flights.run("k", stopped) for _ in range(2)), return_exceptions=True)
        assert [getattr(error, "code", None) for error in found] == ["not_ready"] * 2

    run(check())


def test_closing_stops_all_work_and_takes_no_more() -> None:
    async def check() -> None:
        flights, work = SingleFlight(), Work()
        waiters = [asyncio.create_task(flights.run(key, work)) for key in ("a", "a", "b")]
        await settle()
        await flights.close()
        assert work.running == []
        for error in await asyncio.gather(*waiters, return_exceptions=True):
            assert isinstance(error, RefusedError)
            assert error.code == "not_ready"
        with pytest.raises(RefusedError, match="ask again"):
            await flights.run("c", work)
        assert len(work.made) == 2

    run(check())


@settings(max_examples=200)
@given(
    st.lists(st.sampled_from(["join", "join", "leave", "leave", "land", "crash", "settle", "tick"]), max_size=40),
    st.data(),
)
def test_any_coming_and_going(steps: list[str], data: st.DataObject) -> None:
    async def check() -> None:
        flights, work = SingleFlight(), Work()
        waiters: list[asyncio.Task[tuple[int, bool]]] = []
        ended_before: list[int] = []  # for each waiter, how many computations had ended when it came
        for step in [*steps, "settle", "land", "settle"]:
            waiting = [task for task in waiters if not task.done()]
            if step == "join":
                ended_before.append(len(work.made) - len(work.running))
                waiters.append(asyncio.create_task(flights.run("k", work)))
            elif step == "leave" and waiting:
                data.draw(st.sampled_from(waiting)).cancel()
            elif step in ("land", "crash"):
                getattr(work, step)()
            elif step == "tick":
                await asyncio.sleep(0)
            elif step == "settle":
                await settle()
                waiting = [task for task in waiters if not task.done()]
                assert len(work.running) == bool(waiting)
        assert len(flights) == 0
        own = set()
        for ended, task in zip(ended_before, waiters, strict=True):
            if task.cancelled():
                continue
            error = task.exception()
            assert error is None or isinstance(error, Boom)
            number, shared = (error.args[0], True) if error else task.result()
            # Its own or one that was going on: computations end in order, as there is one at a time.
            assert number >= ended
            assert shared or number not in own
            if not shared:
                own.add(number)

    run(check())
