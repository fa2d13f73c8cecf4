"""Who is let in: by seconds of audio, and never more than can be answered in time."""

from __future__ import annotations

from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overtone.errors import RefusedError
from overtone.server.inference.admission import Admission, AdmissionLimits, Ticket

RATE = 10.0


def admission(
    queue_s: float = 100.0, deadline_s: float = 1000.0, owner_s: float | None = None, live: int = 2
) -> Admission:
    return Admission(AdmissionLimits(queue_s, deadline_s, owner_s, live))


def refused(call: object) -> RefusedError:
    with pytest.raises(RefusedError) as caught:
        call()  # type: ignore[operator]
    assert caught.value.code == "busy"
    assert caught.value.retry_after_s is not None
    return caught.value


def test_a_full_queue_says_when_there_is_room_again() -> None:
    door = admission()
    door.admit(None, 90.0, RATE)
    error = refused(lambda: door.admit(None, 30.0, RATE))
    assert error.retry_after_s == pytest.approx(2.0)  # 20 s too many, of which 10 are answered in a second
    assert door.queued_s == 90.0
    door.admit(None, 10.0, RATE)


def test_nothing_is_let_in_that_would_come_too_late() -> None:
    door = admission(queue_s=1e6, deadline_s=10.0)
    assert door.room_s(RATE) == pytest.approx(90.0)
    door.admit(None, 80.0, RATE)
    refused(lambda: door.admit(None, 20.0, RATE))
    assert door.wait_s(RATE) == pytest.approx(8.0)


def test_one_that_is_larger_than_the_room_is_let_in_alone() -> None:
    door = admission()
    ticket = door.admit(None, 500.0, RATE)
    refused(lambda: door.admit(None, 1.0, RATE))
    ticket.release()
    assert door.wait_s(RATE) == 0.0


def test_a_key_has_its_share_and_leaves_the_rest_to_others() -> None:
    door = admission(owner_s=50.0)
    door.admit("a", 45.0, RATE)
    assert "of this key" in str(refused(lambda: door.admit("a", 10.0, RATE)))
    door.admit("b", 45.0, RATE)
    refused(lambda: door.admit("c", 20.0, RATE))
    own = admission(owner_s=50.0)
    own.admit("a", 5.0, RATE, 6.0)
    refused(lambda: own.admit("a", 5.0, RATE, 6.0))


def test_before_anything_is_known_of_a_request_a_full_queue_refuses_it() -> None:
    door = admission()
    door.check(None, RATE)
    door.admit(None, 99.0, RATE)
    door.check(None, RATE)
    door.admit(None, 1.0, RATE)
    refused(lambda: door.check(None, RATE))


def test_live_streams_are_bounded_by_number_and_by_what_the_model_can_do() -> None:
    door = admission()
    first = door.open_live(5.0, RATE)
    refused(lambda: door.open_live(5.0, RATE))
    second = door.open_live(4.0, RATE)
    refused(lambda: door.open_live(0.1, 1000.0))
    assert door.live_load == 9.0
    assert door.room_s(RATE) == pytest.approx(100.0)
    first.release()
    first.release()
    assert (door.live, door.live_load) == (1, 4.0)
    second.release()
    refused(lambda: admission().open_live(50.0, RATE))  # more than there is, also for the only one


@given(st.lists(st.tuples(st.sampled_from(["a", "b", "c"]), st.floats(0.0, 60.0), st.floats(0.0, 90.0), st.booleans())))
def test_what_is_counted_is_what_is_under_way(requests: list[tuple[str, float, float, bool]]) -> None:
    door, under_way = admission(owner_s=70.0), list[tuple[str, float, Ticket]]()
    for owner, claimed, found, leaves in requests:
        try:
            ticket = door.admit(owner, claimed, RATE)
        except RefusedError:
            continue
        assert door.queued_s <= 100.01 or len(under_way) == 0 or door.queued_s - claimed <= 100.01
        ticket.update(found)
        if leaves:
            ticket.release()
            ticket.update(5.0)  # says nothing any more
        else:
            under_way.append((owner, found, ticket))
        assert door.queued_s == pytest.approx(sum(seconds for _, seconds, _ in under_way), abs=0.01 * len(requests))
        for name in "abc":
            own = sum(seconds for owner, seconds, _ in under_way if owner == name)
            assert door.queued_of(name) == pytest.approx(own, abs=0.01 * len(requests))
    for _, _, ticket in under_way:
        ticket.release()
    assert door.queued_s == 0.0


_STEPS = st.tuples(
    st.sampled_from(["a", "b"]),
    st.floats(0.0, 60.0),
    st.booleans(),
    st.one_of(st.none(), st.floats(0.0, 150.0)),
    st.booleans(),
)


@given(st.lists(_STEPS))
def test_correcting_a_ticket_is_leaving_and_being_admitted_anew(
    requests: list[tuple[str, float, bool, float | None, bool]],
) -> None:
    corrected, anew = admission(owner_s=70.0), admission(owner_s=70.0)
    under_way = list[tuple[Ticket, Ticket]]()
    for owner, expected, lapses, found, ends in requests:
        outcomes = [outcome(door, owner, expected) for door in (corrected, anew)]
        assert str(outcomes[0]) == str(outcomes[1]) or all(isinstance(one, Ticket) for one in outcomes)
        if not isinstance(outcomes[0], Ticket) or not isinstance(outcomes[1], Ticket):
            continue
        ticket, other = outcomes[0], outcomes[1]
        if lapses:
            ticket.lapse()
            other.release()
        if found is not None:
            other.release()
            answer = outcome(anew, owner, found)
            if isinstance(answer, Ticket):
                ticket.correct(found, RATE)
                ticket.lapse()  # its length is known, so this gives nothing back
                other = answer
            else:
                assert str(refused(partial(ticket.correct, found, RATE))) == str(answer)
        if ends:
            ticket.release()
            other.release()
        under_way.append((ticket, other))
        assert corrected.queued_s == anew.queued_s
        assert [corrected.queued_of(name) for name in "ab"] == [anew.queued_of(name) for name in "ab"]
    for ticket, other in under_way:
        ticket.release()
        other.release()
    assert corrected.queued_s == anew.queued_s == 0.0


def outcome(door: Admission, owner: str, seconds: float) -> Ticket | RefusedError:
    try:
        return door.admit(owner, seconds, RATE)
    except RefusedError as error:
        return error
