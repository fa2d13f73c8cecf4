"""Turns: owners take them, and nobody waits for more than one of each other."""

from __future__ import annotations

from collections import Counter
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from overtone.server.jobs.fairness import next_owner

OWNERS = st.sampled_from([None, "", "anna", "ben", "carl"])


@given(st.dictionaries(OWNERS, st.integers(1, 99), min_size=1), st.dictionaries(OWNERS, st.integers(1, 99)))
def test_the_next_turn_is_of_the_one_who_waited_longest(waiting, served):
    owner = next_owner(waiting, served)
    assert owner in waiting
    assert all(served.get(owner, 0) <= served.get(other, 0) for other in waiting)
    news = {other: place for other, place in waiting.items() if other not in served}
    assert not news or waiting[owner] == min(news.values())


@given(st.lists(st.sets(OWNERS, min_size=1), max_size=30), OWNERS)
def test_nobody_waits_for_more_than_one_turn_of_each_other(rounds, patient):
    """Whoever comes and goes, and whatever they come with."""
    served: dict[Any, int] = {}
    others: Counter[Any] = Counter()
    for turn, owners in enumerate(rounds, 1):
        owner = next_owner(dict.fromkeys(owners | {patient}, turn), served)
        served[owner] = turn
        others[owner] += 1
        if owner == patient:
            others.clear()
        assert not others or max(others.values()) == 1


def test_owners_take_turns(store, upload):
    jobs = {}
    for name, owner, files in (("a", "anna", 2), ("b", "anna", 2), ("c", None, 1), ("d", "ben", 3)):
        jobs[store.add(owner, {}, [upload() for _ in range(files)], 60).id] = name
    claims = iter(store.claim_next, None)
    assert [(jobs[claim.job], claim.file.number) for claim in claims] == [
        ("a", 0), ("c", 0), ("d", 0), ("a", 1), ("d", 1), ("b", 0), ("d", 2), ("b", 1)
    ]  # fmt: skip
