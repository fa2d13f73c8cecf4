"""Whose turn it is: what somebody waits for goes before background work, which is never starved."""

from __future__ import annotations

import threading

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from overtone.batching.cost_model import CostModel
from overtone.batching.fairness import BACKGROUND_SHARE, BackgroundShare
from overtone.batching.policy import BatchLimits
from overtone.batching.queue import SegmentQueue
from overtone.types import SAMPLE_RATE

NO_LIMITS = BatchLimits(1 << 50, CostModel(0.0, 1.0, 0.0), batch_s=32.0)

GIB = 1 << 30


def sound(seconds: float) -> np.ndarray:
    return np.zeros(round(seconds * SAMPLE_RATE), np.float32)


def waiting(foreground: list[float], background: list[float], audio_bytes: int = GIB) -> SegmentQueue:
    made = SegmentQueue()
    made.register("fake", audio_bytes)
    for seconds in background:
        made.put(sound(seconds), False, background=True)
    for seconds in foreground:
        made.put(sound(seconds), False)
    return made


def kinds(batch: list) -> set[bool]:
    return {work.background for work in batch}


def test_what_is_waited_for_goes_first_and_no_batch_mixes_the_two() -> None:
    queue = waiting([5.0, 5.0], [5.0, 5.0])
    first, second = queue.get_batch(NO_LIMITS), queue.get_batch(NO_LIMITS)
    assert (kinds(first), len(first)) == ({False}, 2)
    assert kinds(second) == {True}
    while len(queue):
        queue.get_batch(NO_LIMITS)


def test_background_batches_are_short_so_that_whoever_comes_waits_for_little() -> None:
    assert len(waiting([], [3.9] * 8).get_batch(NO_LIMITS)) == 2  # 8 s of the 32 that others may take
    assert len(waiting([3.9] * 8, []).get_batch(NO_LIMITS)) == 8
    assert len(waiting([], [20.0]).get_batch(NO_LIMITS)) == 1  # longer than that, and still run


@given(st.lists(st.tuples(st.floats(0.1, 30.0), st.floats(0.1, 30.0)), min_size=50, max_size=300))
def test_background_work_gets_its_share_and_no_more_while_others_wait(sizes: list[tuple[float, float]]) -> None:
    turns = BackgroundShare()
    ran = {False: 0.0, True: 0.0}
    for foreground_s, background_s in sizes:
        background = turns.background_is_due(1, background_s)
        seconds = background_s if background else foreground_s
        turns.account(seconds, background=background, others=True)
        ran[background] += seconds
        assert turns.earned_s >= 0
    # Its share, to what its next segment still lacks.
    assert ran[True] <= BACKGROUND_SHARE * sum(ran.values()) + 1e-6
    assert ran[True] >= BACKGROUND_SHARE * sum(ran.values()) - 30.0


def test_background_work_that_nobody_waits_behind_earns_and_owes_nothing() -> None:
    turns = BackgroundShare()
    assert turns.background_is_due(0, 30.0)
    turns.account(30.0, background=True, others=False)
    turns.account(1000.0, background=False, others=False)
    assert turns.earned_s == 0.0
    assert not turns.background_is_due(3, None)


def test_what_it_earns_is_bounded() -> None:
    turns = BackgroundShare()
    turns.account(1e9, background=False, others=True)
    assert turns.earned_s == 60.0


def test_background_audio_never_fills_the_way_to_the_model() -> None:
    queue = SegmentQueue()
    queue.register("fake", sound(40.0).nbytes)
    feeder = threading.Thread(
        target=lambda: [queue.put(sound(5.0), False, background=True) for _ in range(20)], daemon=True
    )
    feeder.start()
    for _ in range(4):  # the other half is free for others however long the feeder waits
        queue.put(sound(5.0), False)
    held = sum(len(work) for work in queue.get_batch(NO_LIMITS)) / SAMPLE_RATE
    assert held == 20.0
    queue.close(drain=False)
    feeder.join(10)
    assert not feeder.is_alive()
