from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.waiting import until, waiting_in
from overtone.batching.cost_model import CostModel, Shape
from overtone.batching.memory_budget import MemoryBudget
from overtone.errors import UsageError
from overtone.system.memory import GIB, MIB, format_size, memory_refusal, parse_size
from overtone.system.semaphore import FifoSemaphore


@pytest.mark.parametrize(
    ("text", "size"),
    [("2GiB", 2 * GIB), ("512MB", 512_000_000), ("1.5 GiB", 3 * GIB // 2), ("1g", GIB), ("4096", 4096), (4096, 4096)],
)
def test_sizes_are_read_as_people_write_them(text: str | int, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "GiB", "-1GiB", "2 gallons", "1e3", "nan", "0", "0.5", True, "0x10"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="2GiB"):
        parse_size(text)


@pytest.mark.parametrize(("size", "text"), [(512, "512 B"), (310 * MIB, "310 MiB"), (1.5 * GIB, "1.50 GiB")])
def test_sizes_are_shown_with_three_figures(size: float, text: str) -> None:
    assert format_size(size) == text


SHAPES = st.builds(Shape, st.integers(1, 16), st.floats(0.5, 60))


@given(st.lists(st.tuples(SHAPES, st.integers(0, 10**9)), min_size=1, max_size=8))
def test_a_fit_covers_every_probe(probes: list[tuple[Shape, int]]) -> None:
    cost = CostModel.fit(probes)
    for shape, size in probes:
        assert cost.predict(shape) >= size * 0.999


@given(st.floats(0, 1e9), st.floats(0, 1e7), st.floats(0, 1e5))
def test_a_fit_finds_the_law_that_made_the_probes(fixed: float, linear: float, square: float) -> None:
    law = CostModel(fixed, linear, square, margin=1.0)
    shapes = [Shape(1, 2), Shape(1, 10), Shape(1, 30), Shape(4, 4), Shape(8, 2)]
    found = CostModel.fit([(shape, law.predict(shape)) for shape in shapes])
    assert found.predict(Shape(2, 20)) == pytest.approx(law.predict(Shape(2, 20)) * found.margin, rel=0.05, abs=1e3)


def test_a_row_is_charged_for_what_it_takes_beyond_its_audio() -> None:
    law = CostModel(0.0, 100.0, 0.0, margin=1.0, row_s=0.5)
    # A hundred short clips take more than twice what one clip of their whole length does.
    assert law.predict(Shape(100, 0.25)) == 7500
    assert law.predict(Shape(1, 25.0)) == 2550
    shapes = [Shape(1, 2), Shape(1, 10), Shape(1, 30), Shape(4, 4)]
    found = CostModel.fit([(shape, law.predict(shape)) for shape in shapes], row_s=0.5)
    assert found.predict(Shape(100, 0.25)) == pytest.approx(7500 * found.margin, rel=1e-3)


@given(SHAPES, st.integers(1, 10**9))
def test_the_margin_grows_when_a_prediction_was_short(shape: Shape, measured: int) -> None:
    cost = CostModel(1000.0, 1000.0, 0.0)
    wider = cost.with_margin(shape, measured)
    assert wider.predict(shape) >= measured or wider.margin == pytest.approx(2.5)
    assert cost.margin <= wider.margin <= 2.5


def test_a_cost_model_survives_its_cache_and_nonsense_does_not() -> None:
    cost = CostModel(1.0, 2.0, 3.0, rtf=0.1, row_s=0.6)
    assert CostModel.from_dict(cost.as_dict()) == cost
    for broken in ({}, {**cost.as_dict(), "fixed": "many"}, {**cost.as_dict(), "fixed": float("nan")}):
        with pytest.raises((ValueError, KeyError, TypeError)):
            CostModel.from_dict(broken)


def test_audio_over_the_bound_waits_until_some_is_freed() -> None:
    ledger = MemoryBudget(1000, 100, lambda: 0)
    held = ledger.audio.acquire(80)
    entered = threading.Event()

    def enter() -> None:
        ledger.audio.acquire(40)
        entered.set()

    thread = threading.Thread(target=enter)
    thread.start()
    assert not entered.wait(0.05)
    ledger.audio.release(held)
    thread.join(5)
    assert entered.is_set()
    assert ledger.audio.in_use == 40


def test_one_piece_larger_than_all_is_let_in_alone() -> None:
    ledger = MemoryBudget(1000, 100, lambda: 0)
    ledger.audio.acquire(500)
    assert ledger.audio.in_use == 500


def test_first_come_is_first_served() -> None:
    gate = FifoSemaphore(100)
    gate.acquire(60)
    order: list[int] = []

    def enter(size: int) -> None:
        gate.acquire(size)
        order.append(size)

    threads = [threading.Thread(target=enter, args=(size,)) for size in (500, 30)]
    for number, thread in enumerate(threads, 1):
        thread.start()
        # So that the large one is first in the queue; the small one would fit at once.
        until(lambda: waiting_in(gate._changed) == number)  # noqa: B023
    assert order == []
    gate.release(60)
    threads[0].join(5)
    assert order == [500]
    gate.release(500)
    threads[1].join(5)
    assert order == [500, 30]


def test_a_closed_gate_keeps_nobody() -> None:
    gate = FifoSemaphore(1)
    gate.acquire(1)
    waiting = threading.Thread(target=gate.acquire, args=(1,))
    waiting.start()
    gate.close()
    waiting.join(5)
    assert not waiting.is_alive()


@pytest.mark.parametrize(
    ("error", "refused"),
    [
        (MemoryError(), True),
        (
            RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
            True,
        ),
        (type("OutOfMemoryError", (RuntimeError,), {})("CUDA out of memory. Tried to allocate 2 GiB"), True),
        (RuntimeError("shapes cannot be multiplied"), False),
        (ValueError("not enough memory"), False),
    ],
)
def test_a_refusal_of_memory_is_told_from_other_errors(error: Exception, refused: bool) -> None:
    assert (memory_refusal(error) is not None) is refused


def test_room_is_what_use_and_audio_to_come_leave() -> None:
    ledger = MemoryBudget(1000, 100, lambda: 300)
    assert ledger.available() == 600
    ledger.audio.acquire(60)  # these bytes are in what is measured now
    assert ledger.available() == 660
