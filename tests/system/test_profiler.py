"""Who did what from when to when: totals are exact, what is kept is bounded, and so is the picture of it."""

from __future__ import annotations

import itertools
import threading
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.engines import engine_of
from overtone.backends.fake import FakeBackend
from overtone.batching.memory_plan import make_plan
from overtone.output.plots import plot_stages
from overtone.output.plots.gantt import COLUMNS, MAX_SHOWN, columns_of, lanes_of
from overtone.system import profiler
from overtone.system.profiler import (
    MAX_INTERVALS,
    MAX_LANES,
    NULL_PROFILER,
    STAGES,
    Interval,
    Recording,
    TraceRecorder,
    lane_of,
)


def interval(start: float, stop: float, label: str = "") -> Interval:
    return Interval(start, stop, stop - start, label)


def recording(turns: list[tuple[str, profiler.Stage, float]], length_s: float = 0.0) -> Recording:
    """Lanes that take one turn after the other, each at its own time."""
    made = Recording()
    at: dict[str, float] = {}
    for lane, stage, took in turns:
        start = at.get(lane, 0.0)
        made.add(lane, stage, interval(start, start + took), took / 2)
        at[lane] = start + took
    made.stopped = max(made.stopped, length_s)
    return made


# Times are multiples of 2^-10 s, whose sums are exact.
turn = st.tuples(
    st.sampled_from(["decode 1", "decode 2", "cpu", "caller"]),
    st.sampled_from(STAGES),
    st.integers(0, 4096).map(lambda n: n / 1024),
)


@given(st.lists(turn, max_size=200), st.integers(16, 64))
def test_totals_are_exact_and_stints_are_bounded(turns: list[Any], most: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        # Half of it holds an interval for each of 4 lanes and 8 stages.
        patch.setattr(profiler, "MAX_INTERVALS", most * 4)
        made = recording(turns)
    kept = 0
    for lane in made.lanes:
        for stage in STAGES:
            took = [seconds for where, what, seconds in turns if (where, what) == (lane, stage)]
            total, intervals = made.total(lane, stage), made.intervals(lane, stage)
            assert (total.count, total.busy_s, total.cpu_s) == (len(took), sum(took), sum(took) / 2)
            assert (total.longest.busy_s if total.longest else 0.0) == max(took, default=0.0)
            assert sum(part.count for part in intervals) == len(took)
            assert sum(part.busy_s for part in intervals) == sum(took)
            for part in intervals:
                assert part.busy_s <= part.stop - part.start
                assert part.count == 1 or part.stop - part.start <= made.resolution_s
            for before, after in itertools.pairwise(intervals):
                assert before.stop <= after.start
            kept += len(intervals)
    assert kept <= most * 4
    assert made.resolution_s == 0 or len(turns) > most * 4


def test_a_recording_of_a_long_run_takes_no_more_memory() -> None:
    def fill(made: Recording, first: int, last: int) -> None:
        for i in range(first, last):
            made.add(f"decode {i % 4 + 1}", STAGES[i % 3], interval(i * 0.01, i * 0.01 + 0.005, f"file {i}"))

    made = Recording()
    tracemalloc.start()
    fill(made, 0, 2 * MAX_INTERVALS)
    early, _ = tracemalloc.get_traced_memory()
    fill(made, 2 * MAX_INTERVALS, 12 * MAX_INTERVALS)
    late, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert sum(len(made.intervals(lane, stage)) for lane in made.lanes for stage in STAGES) <= MAX_INTERVALS
    assert made.of(*STAGES).count == 12 * MAX_INTERVALS
    assert peak < 4 << 20
    assert late < 2 * early


def test_however_many_threads_there_are_lanes_are_bounded() -> None:
    made = recording([(f"thread {i}", "decode", 1.0) for i in range(3 * MAX_LANES)])
    assert len(made.lanes) == MAX_LANES + 1
    assert made.lanes[-1] == "others"
    assert made.of("decode").busy_s == 3 * MAX_LANES


def test_off_times_and_keeps_nothing() -> None:
    with NULL_PROFILER.source("a"):
        took = NULL_PROFILER.end("decode", NULL_PROFILER.begin() - 1.0)
    NULL_PROFILER.record_allocation("run", 1)
    assert 1.0 <= took < 2.0
    assert not vars(NULL_PROFILER)


def test_a_recorder_keeps_what_it_times() -> None:
    recorder = TraceRecorder(lambda: 77)
    recorder.end("decode", recorder.begin())
    recorder.start()
    began = recorder.begin()
    with recorder.source("a.wav"):
        took = recorder.end("decode", began)
        recorder.end("cut", recorder.begin(), "other")
    recorder.end("cut", recorder.begin())
    recorder.record_allocation("run", 5)
    recorder.record_allocation("run", 3)
    made = recorder.stop()
    recorder.end("write", recorder.begin())  # too late
    assert made.lanes == ("caller",)
    assert made.of("decode").busy_s == pytest.approx(took, abs=1e-12)  # a difference of two large numbers
    assert [part.label for part in made.intervals("caller", "decode")] == ["a.wav"]
    assert [part.label for part in made.intervals("caller", "cut")] == ["other", ""]
    assert made.first_bytes == {"decode": 77, "cut": 77}
    assert made.max_growth == {"run": 5}
    assert not made.of("write").count
    assert made.started <= made.intervals("caller", "decode")[0].start
    assert made.stopped >= made.intervals("caller", "cut")[1].stop


def test_processor_time_is_the_threads_own() -> None:
    recorder, done = TraceRecorder(), threading.Event()
    recorder.start()

    def burn() -> None:
        while not done.is_set():
            sum(range(1000))

    other = threading.Thread(target=burn)
    other.start()
    began = recorder.begin()
    threading.Event().wait(0.2)
    recorder.end("wait", began)
    done.set()
    other.join()
    waited = recorder.stop().of("wait")
    assert waited.busy_s >= 0.2
    assert waited.cpu_s < 0.1


def test_idle_is_told_apart_by_whether_a_source_was_being_read() -> None:
    class Clock:
        now = 100.0

    recorder, clock = TraceRecorder(), Clock()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("overtone.system.profiler.time.perf_counter", lambda: clock.now)
        began = recorder.begin()
        clock.now += 4  # before the start: it does not count
        recorder.start()
        clock.now += 1
        with recorder.source("a.wav"):
            clock.now += 2
        clock.now += 8
        with recorder.source("b.wav"):
            clock.now += 16
            recorder.end("idle", began)
        made = recorder.stop()
    assert made.of("idle").busy_s == 1 + 2 + 8 + 16
    assert made.starved_s == 2 + 16


def test_an_engine_tells_what_it_does() -> None:
    backend = FakeBackend()
    plan = make_plan(budget_bytes=1 << 40, resident_bytes=0, cost=backend.cost(30.0), longest_s=30.0)
    recorder = TraceRecorder()
    with engine_of(backend, plan, profiler=recorder) as running:
        recorder.start()
        for length in (16_000, 32_000, 48_000):
            running.submit(np.zeros(length, np.float32)).result(10)
        running.wait_until_idle()
        made = recorder.stop()
        assert made.of("run").busy_s == pytest.approx(running.stats.run_s, abs=1e-9)
    assert made.of("run").count == made.of("batch").count == 3
    labels = [part.label for part in made.intervals("fake", "run")]
    assert labels == ["1 × 1.0 s", "1 × 2.0 s", "1 × 3.1 s"]  # as charged
    assert made.of("wait").count == made.total("caller", "wait").count == 3


@pytest.mark.parametrize(
    ("thread", "lane"),
    [
        ("overtone-decode_0", "decode 1"),
        ("overtone-decode_11", "decode 12"),
        ("overtone-cpu", "cpu"),
        ("overtone-cuda:1", "cuda:1"),
        ("MainThread", "caller"),
        ("Thread-3 (work)", "caller"),
    ],
)
def test_lanes_have_the_names_of_what_works_there(thread: str, lane: str) -> None:
    assert lane_of(thread) == lane


# The picture


def test_columns_hold_the_share_of_their_time() -> None:
    made = Recording()
    made.started, made.stopped = 10.0, 20.0
    made.add("cpu", "run", interval(10.5, 12.0))
    made.add("cpu", "run", Interval(14.0, 18.0, 1.0, "", 7))
    np.testing.assert_allclose(
        columns_of(made, "cpu", "run", 10), [0.5, 1, 0, 0, 0.25, 0.25, 0.25, 0.25, 0, 0], atol=1e-12
    )
    assert not columns_of(made, "cpu", "idle", 10).any()


@given(st.lists(turn, max_size=40), st.integers(1, 50))
def test_columns_add_up(turns: list[Any], columns: int) -> None:
    made = recording(turns, length_s=1.0)
    for lane in made.lanes:
        for stage in STAGES:
            shares = columns_of(made, lane, stage, columns)
            assert shares.shape == (columns,)
            width = made.stopped / columns
            assert shares.sum() * width == pytest.approx(made.total(lane, stage).busy_s, abs=1e-9)


def test_lanes_are_in_order_and_not_too_many() -> None:
    turns: list[tuple[str, profiler.Stage, float]] = [("caller", "write", 5.0), ("cpu", "run", 5.0)]
    turns += [(f"decode {i}", "decode", 1.0 / i) for i in (10, 2, 1)]
    assert lanes_of(recording(turns)) == ["decode 1", "decode 2", "decode 10", "cpu", "caller"]
    many = recording([*turns, *((f"decode {i}", "decode", 0.001) for i in range(20, 50))])
    assert len(lanes_of(many)) == MAX_SHOWN
    assert {"decode 1", "cpu", "caller"} <= set(lanes_of(many))


def _size(path: Path) -> tuple[int, int]:
    head = path.read_bytes()[:24]
    assert head[:8] == b"\x89PNG\r\n\x1a\n"
    return int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big")


def test_the_picture_is_bounded_however_long_the_run(tmp_path: Path) -> None:
    made = Recording()
    for i in range(3 * MAX_INTERVALS):
        made.add(f"decode {i % 40}", "decode", interval(i, i + 0.9, "a"))
        made.add("cpu", "run", interval(i, i + 0.5, "8 × 4.0 s"))
    plot_stages(made, str(tmp_path / "long.png"), "many")
    width, height = _size(tmp_path / "long.png")
    assert width == 1650
    assert height < 1400
    assert (tmp_path / "long.png").stat().st_size < 400_000
    assert len(columns_of(made, "cpu", "run")) == COLUMNS


@pytest.mark.parametrize("turns", [[], [("cpu", "idle", 0.0)], [("ein $x$ 名", "run", 1e-6)], [("cpu", "run", 1e5)]])
def test_every_recording_is_drawn(tmp_path: Path, turns: list[Any]) -> None:
    plot_stages(recording(turns), str(tmp_path / "x.png"), "$\\frac{a$")
    assert _size(tmp_path / "x.png")[0] == 1650
