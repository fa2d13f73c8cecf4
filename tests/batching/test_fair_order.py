"""Whose turn it is among requests and their tenants: shares, bounded waits, and nothing left of those who have gone."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overtone.batching.deficit_round_robin import DeficitRoundRobin
from overtone.batching.fair_order import FairOrder
from overtone.batching.flow import Flow

QUANTUM = 10
LONGEST = 30
BATCH = 32

costs = st.integers(1, LONGEST)
batches = st.lists(costs, min_size=1, max_size=12)


class Served:
    """Requests with segments that wait, served in the order of a policy, some of them out of turn to fill batches."""

    def __init__(self, waiting: Mapping[Flow, Sequence[int]], fill: int = 0) -> None:
        self.order = FairOrder(QUANTUM)
        self.waiting = {flow: deque(segments) for flow, segments in waiting.items() if segments}
        self.fill = fill
        self.done: list[tuple[Flow, int]] = []

    def due(self) -> Flow:
        return self.order.due({flow: segments[0] for flow, segments in self.waiting.items()})

    def take(self, flow: Flow) -> int:
        cost = self.waiting[flow].popleft()
        self.order.charge(flow, cost)
        self.done.append((flow, cost))
        if not self.waiting[flow]:
            del self.waiting[flow]
        return cost

    def batch(self) -> None:
        """One batch: what is due, and then whatever may fill it, always of the same request as far as that goes."""
        due = self.due()
        willing = [flow for flow in self.waiting if flow is due or not self.order.owes(flow)]
        room = self.fill - self.take(due)
        for flow in reversed(willing):
            while flow in self.waiting and self.waiting[flow][0] <= room:
                room -= self.take(flow)

    def run(self) -> list[tuple[Flow, int]]:
        while self.waiting:
            self.batch()
        return self.done


@given(st.lists(st.lists(batches, min_size=1, max_size=5), min_size=1, max_size=4), st.sampled_from((0, BATCH)))
def test_everything_is_run_and_each_request_in_its_order(tenants: list[list[list[int]]], fill: int) -> None:
    requests = {Flow(tenant): segments for tenant, of in enumerate(tenants) for segments in of}
    done = Served(requests, fill).run()
    for flow, segments in requests.items():
        assert [cost for of, cost in done if of is flow] == segments


def total(of: Sequence[int]) -> int:
    return sum(of)


@given(st.lists(st.lists(batches, min_size=1, max_size=4), min_size=1, max_size=4), st.sampled_from((0, BATCH)))
def test_no_segment_waits_for_more_than_a_bound_however_much_the_others_have(
    tenants: list[list[list[int]]], fill: int
) -> None:
    """The bound: with n tenants of at most m requests, n m times as much as the segment and those before it in its
    request take, and in each turn of another what is beyond it: one segment that was saved for, one batch, and a turn.
    """
    requests = {Flow(tenant): segments for tenant, of in enumerate(tenants) for segments in of}
    ran, so_far, before = Served(requests, fill), Counter[Flow](), 0
    n, m = len(tenants), max(map(len, tenants))
    for flow, cost in ran.run():
        so_far[flow] += cost
        others = before - (so_far[flow] - cost)
        beyond = 2 * (LONGEST + max(fill, LONGEST) + QUANTUM)
        assert others <= (n * m - 1) * so_far[flow] + n * m * beyond
        before += cost


@given(st.integers(2, 5), st.data())
def test_requests_that_always_have_work_get_the_same_to_a_turn_a_segment_and_a_batch(count: int, data: object) -> None:
    flows = [Flow() for _ in range(count)]
    requests = {flow: data.draw(st.lists(costs, min_size=60, max_size=60)) for flow in flows}  # type: ignore[attr-defined]
    ran = Served(requests, fill=BATCH)
    while len(ran.waiting) == count:
        served = Counter(dict.fromkeys(flows, 0))
        for flow, cost in ran.done:
            served[flow] += cost
        assert max(served.values()) - min(served.values()) <= QUANTUM + LONGEST + BATCH
        ran.batch()


@given(st.lists(st.integers(1, 6), min_size=2, max_size=4), st.data())
def test_tenants_get_the_same_however_many_requests_each_has(counts: list[int], data: object) -> None:
    segments = st.lists(costs, min_size=60, max_size=60)
    requests = {Flow(tenant): data.draw(segments) for tenant, count in enumerate(counts) for _ in range(count)}  # type: ignore[attr-defined]
    ran = Served(requests, fill=BATCH)
    while len({flow.tenant for flow in ran.waiting}) == len(counts):
        served = Counter(dict.fromkeys(range(len(counts)), 0))
        for flow, cost in ran.done:
            served[flow.tenant] += cost
        assert max(served.values()) - min(served.values()) <= QUANTUM + LONGEST + BATCH
        ran.batch()


@given(st.lists(costs, min_size=1, max_size=50), st.sampled_from((0, BATCH)))
def test_a_single_request_is_always_due(segments: list[int], fill: int) -> None:
    flow = Flow("key")
    assert Served({flow: segments}, fill).run() == [(flow, cost) for cost in segments]


def test_a_key_with_a_hundred_requests_does_not_hold_up_one_with_one() -> None:
    many = {Flow("many"): [3] for _ in range(100)}
    one = Flow("one")
    done = [flow for flow, _ in Served({**many, one: [3]}).run()]
    assert done.index(one) <= QUANTUM // 3  # one turn of the other


def test_a_file_of_ten_minutes_does_not_hold_up_a_clip_that_comes_later() -> None:
    long, clip = Flow(), Flow()
    ran = Served({long: [20] * 30})
    for _ in range(5):
        ran.batch()
    ran.waiting[clip] = deque([3])
    ran.batch()
    ran.batch()
    assert clip in dict(ran.done)


def test_who_was_alone_owes_those_who_come_no_more_than_its_last_batch() -> None:
    alone, comes = Flow(), Flow()
    ran = Served({alone: [3] * 1000}, fill=BATCH)
    for _ in range(50):
        ran.batch()
    ran.waiting[comes] = deque([30] * 20)
    before = len(ran.done)
    while comes not in dict(ran.done[before:]):
        ran.batch()
    assert total([cost for flow, cost in ran.done[before:] if flow is alone]) <= 3 * QUANTUM + BATCH


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=8), st.data())
def test_of_a_request_that_has_gone_nothing_is_left(tenants: list[str], data: object) -> None:
    flows = [Flow(tenant) for tenant in tenants]
    ran = Served({flow: [20] * 9 for flow in flows}, fill=BATCH)
    for _ in range(data.draw(st.integers(0, 6))):  # type: ignore[attr-defined]
        ran.batch()
    left = data.draw(st.sampled_from(flows))  # type: ignore[attr-defined]
    ran.waiting = {left: deque([20, 20])}  # all others were cancelled
    assert ran.due() is left
    assert len(ran.order) == 1
    assert not any(ran.order.owes(flow) for flow in flows if flow is not left)
    if len(ran.waiting) > 0:
        fresh = {flow: 20 for flow in flows if flow.tenant != left.tenant}
        if fresh:  # one that comes again is as one that never was: it has neither credit nor debt
            ran.order.due({left: 20, **fresh})
            assert not any(ran.order.owes(flow) for flow in fresh)


def test_who_is_due_stays_due_until_something_is_charged() -> None:
    order, first, second = FairOrder(QUANTUM), Flow(), Flow()
    due = order.due({first: 25, second: 30})
    assert due is first
    assert order.due({first: 25, second: 30}) is due
    assert order.due({first: 25, second: 30, Flow(): 1}) is due
    order.charge(due, 25)
    assert order.due({first: 25, second: 30}) is second


@pytest.mark.parametrize("debt", [10**6, 10**12])
def test_a_large_debt_is_paid_at_once_where_nobody_else_has_work(debt: int) -> None:
    turns: DeficitRoundRobin[str] = DeficitRoundRobin(QUANTUM)
    assert turns.due({"a": 5}) == "a"
    turns.charge("a", debt)
    assert turns.owes("a")
    assert turns.due({"a": 5}) == "a"
    assert not turns.owes("a")
    assert len(turns) == 1


def test_rounds_that_are_passed_at_once_are_those_that_would_pay_for_nothing() -> None:
    """Beside the same policy, walked turn by turn."""

    def walked(costs: dict[str, int], credit: dict[str, int]) -> str:
        order = deque(costs)
        while True:
            credit[order[0]] += QUANTUM
            if credit[order[0]] >= costs[order[0]]:
                return order[0]
            order.rotate(-1)

    for waiting in ({"a": 95, "b": 91, "c": 30}, {"a": 40, "b": 41}, {"a": 100, "b": 99, "c": 101}, {"a": 1, "b": 1}):
        turns: DeficitRoundRobin[str] = DeficitRoundRobin(QUANTUM)
        credit = dict.fromkeys(waiting, 0)
        assert turns.due(waiting) == walked(waiting, credit)
        assert turns._credit == credit
