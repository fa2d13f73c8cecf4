"""Which request's segments are taken next, and what fills their batch."""

from __future__ import annotations

import itertools
import threading
from collections import Counter

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.waiting import until, waiting_in
from overtone.batching.cost_model import CostModel
from overtone.batching.fair_order import QUANTUM_SAMPLES
from overtone.batching.flow import Flow
from overtone.batching.policy import BatchLimits, take_batch
from overtone.batching.queue import NEWCOMERS_SHARE, QueueItem, SegmentQueue
from overtone.types import SAMPLE_RATE

LIMITS = BatchLimits(1 << 50, CostModel(0.0, 1.0, 0.0), batch_s=32.0)


def sound(seconds: float) -> np.ndarray:
    return np.zeros(round(seconds * SAMPLE_RATE), np.float32)


def queue_of(audio_bytes: int = 1 << 40, *, shared: bool = False) -> SegmentQueue:
    queue = SegmentQueue(shared=shared)
    queue.register("fake", audio_bytes)
    return queue


def fill(queue: SegmentQueue, flow: Flow, *seconds: float) -> None:
    for length in seconds:
        queue.put(sound(length), flow=flow)


def seconds_of(batch: list[QueueItem], flow: Flow) -> float:
    return sum(len(item) for item in batch if item.flow is flow) / SAMPLE_RATE


def test_a_clip_is_in_the_first_or_second_batch_after_it_comes() -> None:
    queue, long, clip = queue_of(), Flow(), Flow()
    fill(queue, long, *[20.0] * 30)
    for _ in range(5):
        queue.get_batch(LIMITS)
    fill(queue, clip, 3.0)
    taken = [item for _ in range(2) for item in queue.get_batch(LIMITS)]
    assert seconds_of(taken, clip) == 3.0


def test_a_key_with_a_hundred_clips_does_not_hold_up_one_with_one() -> None:
    queue, one = queue_of(), Flow("one")
    for _ in range(100):
        fill(queue, Flow("many"), 3.0)
    fill(queue, one, 6.0)  # of another length, so that it fills no batch of theirs
    taken = [item for _ in range(3) for item in queue.get_batch(LIMITS)]
    assert seconds_of(taken, one) == 6.0


def test_other_requests_fill_the_batch_of_the_one_that_is_due() -> None:
    queue = queue_of()
    flows = [Flow(key) for key in ("a", "a", "b", "c") for _ in range(2)]
    for flow in flows:
        fill(queue, flow, 3.9)
    assert [item.flow for item in queue.get_batch(LIMITS)] == flows  # all eight, oldest first


def test_who_was_taken_to_fill_batches_waits_until_turns_have_paid_for_it() -> None:
    queue, due, filler = queue_of(), Flow(), Flow()
    fill(queue, due, *[4.0] * 2, *[24.0] * 20)
    fill(queue, filler, *[4.0] * 60)
    taken: list[QueueItem] = []
    while seconds_of(taken, due) < 200.0:
        taken += queue.get_batch(LIMITS)
    assert abs(seconds_of(taken, filler) - seconds_of(taken, due)) <= 10.0 + 24.0 + 32.0


@given(st.lists(st.floats(0.5, 30.0), min_size=1, max_size=40))
def test_one_request_alone_is_batched_as_if_there_were_no_turns(lengths: list[float]) -> None:
    queue, flow = queue_of(), Flow()
    fill(queue, flow, *lengths)
    waiting = [round(length * SAMPLE_RATE) for length in lengths]
    while waiting:
        chosen = take_batch(waiting, LIMITS)
        assert [len(item) for item in queue.get_batch(LIMITS)] == [waiting[i] for i in chosen]
        waiting = [length for i, length in enumerate(waiting) if i not in chosen]
    assert not len(queue)


def test_a_request_that_is_cancelled_has_no_turn() -> None:
    queue, gone, stays = queue_of(), Flow(), Flow()
    futures = [queue.put(sound(20.0), flow=gone) for _ in range(4)]
    fill(queue, stays, 25.0, 25.0)
    queue.get_batch(LIMITS)
    for future in futures:
        future.cancel()
    assert [item.flow for _ in range(2) for item in queue.get_batch(LIMITS)] == [stays, stays]
    assert len(queue) == 0


def test_a_batch_has_one_set_of_parameters() -> None:
    queue, first, second = queue_of(), Flow(), Flow()
    queue.put(sound(3.0), "a", flow=first)
    queue.put(sound(3.0), "b", flow=second)
    assert [[item.decode_params for item in queue.get_batch(LIMITS)] for _ in range(2)] == [["a"], ["b"]]


def test_long_files_leave_room_on_the_way_to_the_model() -> None:
    audio = sound(80.0)
    queue, long, clip = queue_of(audio.nbytes, shared=True), Flow(), Flow()
    feeder = threading.Thread(target=fill, args=(queue, long, *[20.0] * 4), daemon=True)
    feeder.start()
    until(lambda: waiting_in(queue.audio._changed))
    assert queue.audio.in_use <= (1 - NEWCOMERS_SHARE) * audio.nbytes
    fill(queue, clip, 3.0)  # at once, though the feeder waits for room
    assert any(item.flow is clip for _ in range(2) for item in queue.get_batch(LIMITS))
    queue.close(drain=False)
    feeder.join(10)
    assert not feeder.is_alive()


ARRIVALS = st.lists(
    st.tuples(
        st.sampled_from(("a", "b", None)), st.integers(0, 2), st.lists(st.integers(1, 30), min_size=1, max_size=6)
    ),
    max_size=6,
)


@settings(max_examples=60, deadline=None)
@given(st.lists(ARRIVALS, min_size=1, max_size=30), st.lists(st.integers(1, 30), min_size=1, max_size=5))
def test_every_segment_is_run_within_the_bound_whatever_comes_meanwhile(
    arrivals: list[list[tuple[str | None, int, list[int]]]], watched: list[int]
) -> None:
    """A request waits while keys and requests come, are done, and come again, before every batch."""
    queue, flow = queue_of(), Flow("a")
    turn_s, longest_s, batch_s, tenants, requests = QUANTUM_SAMPLES / SAMPLE_RATE, 30.0, 32.0, 3, 3
    fill(queue, flow, *watched)
    flows: dict[tuple[str | None, int], Flow] = {}
    comes = itertools.cycle(arrivals)
    while left := [len(item) / SAMPLE_RATE for item in queue._items if item.flow is flow]:
        length = left[0]
        turns = -(-(length + batch_s) // turn_s)
        own_s = turns * (requests - 1) * (turn_s + longest_s) + batch_s
        rounds = -(-(own_s + length + batch_s) // turn_s)
        others_s = rounds * (tenants - 1) * (turn_s + longest_s) + batch_s
        before: Counter[bool] = Counter()
        ran = False
        while not ran:
            for tenant, number, lengths in next(comes):
                if sum(len(item) for item in queue._items) < 300 * SAMPLE_RATE and number < requests - (tenant == "a"):
                    fill(queue, flows.setdefault((tenant, number), Flow(tenant)), *lengths)
            for item in queue.get_batch(LIMITS):
                ran = ran or item.flow is flow
                if item.flow is not flow:
                    before[item.flow.tenant == "a"] += len(item)
            assert before[True] <= own_s * SAMPLE_RATE
            assert before[False] <= others_s * SAMPLE_RATE
            waiting = {item.flow for item in queue._items}
            flows = {name: one for name, one in flows.items() if one in waiting}  # who comes again is another request
