from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overtone.batching.cost_model import CostModel, Shape
from overtone.batching.memory_plan import (
    Plan,
    channel_bytes,
    make_plan,
    min_audio_bytes,
    plan_offload,
    segmenter_bytes,
    whole_file_bytes,
)
from overtone.batching.policy import (
    BUCKETS_PER_OCTAVE,
    MIN_FILL,
    BatchLimits,
    bucket,
    shape_of,
    take_batch,
)
from overtone.errors import BudgetError
from overtone.system.memory import MIB

LENGTHS = st.lists(st.integers(400, 600_000), min_size=1, max_size=40)
COST = CostModel(1000.0, 100.0, 1.0, margin=1.0)


@given(st.integers(1, 10**9))
def test_a_bucket_covers_its_length_and_wastes_little(samples: int) -> None:
    assert samples <= bucket(samples) <= max(samples * (1 + 1 / BUCKETS_PER_OCTAVE), samples + 1023)
    assert bucket(bucket(samples)) == bucket(samples)


@given(st.integers(1, 10**7), st.integers(1, 10**7))
def test_buckets_are_monotone(a: int, b: int) -> None:
    assert (bucket(a) <= bucket(b)) if a <= b else (bucket(a) >= bucket(b))


def test_buckets_are_few() -> None:
    assert len({bucket(n) for n in range(400, 480_000, 7)}) < 120


@given(LENGTHS, st.integers(0, 10**6), st.none() | st.floats(1, 200), st.none() | st.floats(0, 60))
def test_a_batch_keeps_every_limit_and_takes_the_oldest(
    waiting: list[int], room: int, batch_s: float | None, threshold_s: float | None
) -> None:
    limits = BatchLimits(room, COST, batch_s, threshold_s)
    chosen = take_batch(waiting, limits)
    assert chosen[0] == 0
    assert list(chosen) == sorted(set(chosen))
    if len(chosen) > 1:
        lengths = [waiting[i] for i in chosen]
        assert limits.fits(shape_of(lengths))
        assert bucket(min(lengths)) >= MIN_FILL * bucket(max(lengths))


@given(LENGTHS)
def test_every_segment_is_run_within_as_many_batches_as_there_are_segments(waiting: list[int]) -> None:
    limits = BatchLimits(10**6, COST, 60.0, None)
    left, batches = list(enumerate(waiting)), 0
    while left:
        chosen = take_batch([length for _, length in left], limits)
        left = [item for i, item in enumerate(left) if i not in chosen]
        batches += 1
    assert batches <= len(waiting)


def test_equal_segments_fill_a_batch_to_its_cap_in_padded_seconds() -> None:
    waiting = [160_000] * 10
    chosen = take_batch(waiting, BatchLimits(10**9, COST, batch_s=31.0))
    padded = shape_of([waiting[i] for i in chosen]).padded_s
    assert padded <= 31.0 < padded + bucket(160_000) / 16_000


def test_a_batch_is_charged_by_its_padded_size_not_by_its_sum() -> None:
    # 10 s beside 9 s: 19 s of audio, but more than 20 s when padded to a bucket.
    assert take_batch([160_000, 144_000], BatchLimits(10**9, COST, batch_s=20.0)) == (0,)


def test_a_segment_over_the_threshold_runs_alone() -> None:
    assert take_batch([320_000, 320_000], BatchLimits(10**9, COST, threshold_s=15.0)) == (0,)
    assert take_batch([160_000, 160_000], BatchLimits(10**9, COST, threshold_s=15.0)) == (0, 1)


def test_the_oldest_is_taken_even_where_it_alone_breaks_a_limit() -> None:
    assert take_batch([480_000, 480_000], BatchLimits(0, COST, batch_s=1.0)) == (0,)


def test_a_short_one_does_not_pay_for_a_long_one() -> None:
    assert take_batch([16_000, 480_000, 16_000], BatchLimits(10**9, COST)) == (0, 2)


def test_nothing_waiting_makes_no_batch() -> None:
    assert take_batch([], BatchLimits(10**9, COST)) == ()


@given(st.integers(0, 4000), st.floats(1, 60), st.integers(1, 8))
def test_a_plan_adds_up_or_is_refused(budget_mib: int, longest_s: float, producers: int) -> None:
    cost = CostModel(50 * MIB, 2 * MIB, 0.0)
    resident = 300 * MIB
    try:
        plan = make_plan(
            budget_bytes=budget_mib * MIB, resident_bytes=resident, cost=cost, longest_s=longest_s, producers=producers
        )
    except BudgetError:
        return  # what it says is tested below
    one = cost.predict(Shape(1, plan.longest_s))
    assert plan.batch_bytes >= one
    assert plan.audio_bytes >= min_audio_bytes(plan.longest_s, producers)
    assert resident + plan.audio_bytes + plan.batch_bytes <= budget_mib * MIB
    assert plan.largest_batch_s >= plan.longest_s


def test_a_refusal_names_what_would_do_and_what_would_make_it_fit() -> None:
    cost = CostModel(50 * MIB, 10 * MIB, 0.0)
    with pytest.raises(BudgetError) as caught:
        make_plan(budget_bytes=600 * MIB, resident_bytes=400 * MIB, cost=cost, longest_s=30.0)
    text = str(caught.value)
    for part in ("600 MiB", "400 MiB", "memory='", "max_segment=5", "smaller model"):
        assert part in text
    enough = int(text.split("memory='")[1].split("MiB", maxsplit=1)[0])
    make_plan(budget_bytes=enough * MIB, resident_bytes=400 * MIB, cost=cost, longest_s=30.0)


@given(
    st.integers(1, 3000),
    st.integers(1, 2000),
    st.lists(st.tuples(st.integers(1, 4000), st.integers(1, 300)), max_size=4),
)
def test_a_budget_that_is_suggested_holds_what_grows_with_it(
    resident_mib: int, budget_mib: int, steps: list[tuple[int, int]]
) -> None:
    def beside(budget_bytes: int) -> int:
        """Bytes of others, which take more where the budget passes a step."""
        return sum(more for least, more in steps if budget_bytes >= least * MIB) * MIB

    def planned(mib: int) -> Plan:
        now = beside(mib * MIB)
        return make_plan(
            budget_bytes=mib * MIB,
            resident_bytes=resident_mib * MIB + now,
            cost=CostModel(50 * MIB, 2 * MIB, 0.0),
            longest_s=30.0,
            growth=lambda budget: beside(budget) - now,
        )

    try:
        planned(budget_mib)
    except BudgetError as error:
        enough = int(str(error).split("memory='")[1].split("MiB", maxsplit=1)[0])
        assert enough > budget_mib
        planned(enough)


@given(st.integers(600, 4000), st.floats(1, 60), st.integers(1, 8), st.integers(1, 64))
def test_channels_beyond_the_plan_fit_or_are_refused_with_a_number_that_holds_them(
    budget_mib: int, longest_s: float, producers: int, channels: int
) -> None:
    def planned(mib: int) -> Plan:
        cost = CostModel(50 * MIB, 2 * MIB, 0.0)
        return make_plan(
            budget_bytes=mib * MIB, resident_bytes=200 * MIB, cost=cost, longest_s=longest_s, producers=producers
        )

    plan = planned(budget_mib)
    one = plan.cost.predict(Shape(1, plan.longest_s))
    try:
        more = channel_bytes(plan, channels, producers)
    except BudgetError as error:
        enough = int(str(error).split("memory='")[1].split("MiB", maxsplit=1)[0])
        assert enough > budget_mib
        more = channel_bytes(planned(enough), channels, producers)
    else:
        assert more + one <= plan.batch_bytes
    assert (more > 0) == (channels > producers)
    assert more >= segmenter_bytes(plan.longest_s, channels) - segmenter_bytes(plan.longest_s, producers)


BLOCKS = {f"blocks.{index}": 100 * MIB for index in range(10)}


def placed(spare_mib: int, *, batch_s: float = 640.0, per_second: int = 10 * MIB) -> int:
    """How many of ten blocks of 100 MiB are kept, the first ones."""
    cost = CostModel(0.0, per_second, 0.0, margin=1.0)
    places = plan_offload(BLOCKS, "cuda:0", spare_bytes=spare_mib * MIB, cost=cost, longest_s=10.0, batch_s=batch_s)
    assert list(places) == list(BLOCKS)
    kept = list(places.values()).count("cuda:0")
    assert list(places.values()) == ["cuda:0"] * kept + ["cpu"] * (10 - kept)
    return kept


@pytest.mark.parametrize(
    ("spare_mib", "batch_s", "kept"),
    [
        (-5, 640.0, 0),  # not even one segment: the plan refuses
        (1000, 640.0, 10),  # all of it fits, and nothing is moved
        (5000, 640.0, 10),
        (850, 10.0, 8),  # batches do not grow, so all room goes to weights
        (850, 640.0, 0),  # 1000 MiB for 90 s of audio is less for each second than 200 MiB for 10
        (950, 640.0, 0),
        (950, 20.0, 8),  # two segments beside eight blocks, one beside nine: 10 MiB a second either way
    ],
)
def test_blocks_are_placed_so_that_the_fewest_bytes_are_moved(spare_mib: int, batch_s: float, kept: int) -> None:
    assert placed(spare_mib, batch_s=batch_s) == kept


@given(st.integers(0, 3000), st.floats(10.0, 640.0), st.integers(1, 100))
def test_what_is_kept_always_fits(spare_mib: int, batch_s: float, per_second_mib: int) -> None:
    assert placed(spare_mib, batch_s=batch_s, per_second=per_second_mib * MIB) * 100 <= spare_mib


@given(st.integers(1, 10**8), st.integers(1, 8), st.integers(60, 4000))
def test_a_file_that_runs_whole_fits_the_budget_that_is_named_for_all_of_it(
    samples: int, channels: int, budget_mib: int
) -> None:
    def plan(budget_bytes: int) -> Plan:
        return make_plan(budget_bytes=budget_bytes, resident_bytes=1000, cost=COST, longest_s=30.0)

    try:
        whole_file_bytes(plan(budget_mib * MIB), samples, channels, of_all=True)
    except BudgetError as error:
        found = re.search(r"; give memory=.(\d+)MiB., or let it be cut", str(error))
        assert found is not None
        whole_file_bytes(plan(int(found[1]) * MIB), samples, channels, of_all=True)
