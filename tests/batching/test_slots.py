"""Places and bytes that requests hold: turns, what is reserved, and what one tenant may have."""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import CancelledError

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.waiting import until, waiting_in
from overtone.batching.fair_semaphore import FairSemaphore
from overtone.batching.flow import Flow
from overtone.batching.slots import Claim, Slots


def places(capacity: int, reserved: int = 0, most_of_one: int | None = None) -> Slots:
    return Slots(capacity, reserved, quantum=1, most_of_one=most_of_one)


def enter(slots: Slots, flow: Flow | None = None, size: int = 1, *, urgent: bool = False) -> Claim:
    claim = slots.enter(flow or Flow(), size, urgent=urgent)
    slots.grant()
    return claim


def test_a_single_tenant_is_served_first_come_first_served() -> None:
    slots = places(1)
    claims = [enter(slots) for _ in range(5)]
    order = []
    while slots.in_use:
        (held,) = (claim for claim in claims if claim.granted and claim not in order)
        order.append(held)
        slots.leave(held)
        slots.grant()
    assert order == claims


def test_tenants_take_turns_however_many_claims_each_has() -> None:
    slots = places(1)
    held = enter(slots, Flow("many"))
    many, one = [enter(slots, Flow("many")) for _ in range(100)], enter(slots, Flow("one"))
    for _ in range(2):
        slots.leave(held)
        (held,) = slots.grant()
    assert one.granted
    assert sum(claim.granted for claim in many) <= 1


def test_those_who_hold_for_long_never_hold_what_is_reserved() -> None:
    slots = places(3, reserved=1)
    long = [enter(slots) for _ in range(5)]
    assert [claim.granted for claim in long] == [True, True, False, False, False]
    short = [enter(slots, urgent=True) for _ in range(2)]
    assert [claim.granted for claim in short] == [True, False]
    slots.leave(short[0])
    assert slots.grant() == [short[1]]


def test_the_reserve_is_no_way_past_those_who_wait_for_the_rest() -> None:
    slots = places(3, reserved=1)
    holding = [enter(slots) for _ in range(2)]
    large = enter(slots, size=2)
    shorts = [enter(slots, urgent=True) for _ in range(10)]
    for claim in holding:
        slots.leave(claim)
        slots.grant()
    assert large.granted
    assert sum(claim.granted for claim in shorts) == 1


def test_a_claim_larger_than_everything_is_granted_alone() -> None:
    slots = places(4, reserved=1)
    first, large = enter(slots), enter(slots, size=9)
    assert not large.granted
    slots.leave(first)
    assert slots.grant() == [large]
    assert not enter(slots).granted


def test_an_urgent_claim_larger_than_the_reserve_keeps_no_smaller_one_out_of_it() -> None:
    slots = places(3, reserved=1)
    long = [enter(slots) for _ in range(2)]
    pair = enter(slots, size=2, urgent=True)
    assert not pair.granted
    assert enter(slots, urgent=True).granted
    for claim in long:
        slots.leave(claim)
    assert slots.grant() == [pair]


def test_a_claim_that_is_given_back_twice_is_given_back_once() -> None:
    slots = places(3, reserved=1)
    kept, given_back = enter(slots), enter(slots, urgent=True)
    for _ in range(2):
        slots.leave(given_back)
    assert slots.in_use == 1
    assert slots.holds(kept.flow)
    assert not slots.holds(given_back.flow)


def test_of_many_requests_that_have_come_and_gone_nothing_is_left() -> None:
    slots = places(8, reserved=3, most_of_one=3)
    held: deque[Claim] = deque()
    for number in range(20_000):
        held.append(enter(slots, Flow(number % 7 or number), 1 + number % 4, urgent=number % 3 == 0))
        if len(held) > 20:
            slots.leave(held.popleft() if number % 2 else held.pop())  # one that holds, or one that waits
            slots.grant()
    while held:
        slots.leave(held.popleft())
        slots.grant()
    kept = (slots._waiting, slots._of_tenant, slots._of_flow)
    assert [len(one) for one in kept] == [0, 0, 0]
    assert (slots._held, slots._held_reserved) == (0, 0)
    assert len(slots._order) + len(slots._urgent_order) <= 2 * 21  # those that waited when one was last due


def test_one_tenant_leaves_room_for_others() -> None:
    slots = places(4, most_of_one=2)
    many = [enter(slots, Flow("many")) for _ in range(9)]
    assert sum(claim.granted for claim in many) == 2
    assert enter(slots, Flow("other")).granted
    slots.leave(many[0])
    assert slots.grant() == [many[2]]


@given(
    st.integers(1, 20),
    st.integers(0, 8),
    st.lists(st.tuples(st.integers(0, 3), st.integers(1, 8), st.booleans()), min_size=1, max_size=40),
    st.data(),
)
def test_everything_is_granted_once_within_the_bound_and_nothing_is_left(
    capacity: int, reserved: int, asked: list[tuple[int, int, bool]], data: st.DataObject
) -> None:
    slots = places(capacity + reserved, reserved)
    flows = [Flow(tenant) for tenant in range(2) for _ in range(2)]
    claims = [enter(slots, flows[of], size, urgent=urgent) for of, size, urgent in asked]
    left: set[Claim] = set()
    while len(left) < len(claims):
        held = [claim for claim in claims if claim.granted and claim not in left]
        assert held, "something waits, and nothing is held"
        assert slots.in_use == sum(claim.size for claim in held)
        of_all = sum(claim.size for claim in held if not claim.reserved)
        assert of_all <= capacity or sum(not claim.reserved for claim in held) == 1
        assert sum(claim.size for claim in held if claim.reserved) <= reserved
        one = data.draw(st.sampled_from([claim for claim in claims if claim not in left]))  # it may give up waiting
        left.add(one)
        slots.leave(one)
        slots.grant()
    assert (slots.in_use, slots.waiting) == (0, 0)


def test_a_semaphore_lets_a_newcomer_in_where_another_waits_for_room() -> None:
    audio = FairSemaphore(100, reserved=25, quantum=10)
    long, clip = Flow(), Flow()
    held = [audio.acquire(40, long), audio.acquire(30, long)]
    thread = threading.Thread(target=audio.acquire, args=(10, long))
    thread.start()
    until(lambda: waiting_in(audio._changed))
    newcomer = audio.acquire(20, clip)  # at once
    assert audio.in_use == 90
    audio.release(held[0])
    thread.join(10)
    assert not thread.is_alive()
    audio.release(newcomer)
    assert audio.in_use == 40


def test_a_closed_semaphore_keeps_nobody_and_what_is_released_is_gone() -> None:
    places = FairSemaphore(1)
    held = places.acquire(1)
    waiting = [threading.Thread(target=places.acquire, args=(1,)), threading.Thread(target=places.wait_until_empty)]
    for thread in waiting:
        thread.start()
    until(lambda: waiting_in(places._changed) == 2)
    places.close()
    for thread in waiting:
        thread.join(10)
        assert not thread.is_alive()
    places.release(held)
    with places.hold(1):
        pass
    assert places.in_use in (0, 1)  # the one that was let in holds it


def test_a_semaphore_holds_nothing_for_who_was_cancelled_while_it_waited() -> None:
    places, cancelled, ended = FairSemaphore(1), threading.Event(), threading.Event()
    held = places.acquire(1)

    def wait() -> None:
        with pytest.raises(CancelledError), places.hold(1, cancelled=cancelled.is_set):
            pass
        ended.set()

    thread = threading.Thread(target=wait)
    thread.start()
    until(lambda: waiting_in(places._changed))
    places.wake()  # it goes on waiting
    until(lambda: waiting_in(places._changed))
    assert not ended.is_set()
    cancelled.set()
    places.wake()
    thread.join(10)
    assert ended.is_set()
    places.release(held)
    assert (places.in_use, places._slots.waiting) == (0, 0)
    with pytest.raises(CancelledError):  # also where there is room
        places.acquire(1, cancelled=lambda: True)
    assert places.in_use == 0
