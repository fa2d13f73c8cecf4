from __future__ import annotations

import threading
from concurrent.futures import CancelledError
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.engines import PER_SECOND, engine, noise
from helpers.waiting import until, waiting_in
from overtone.backends.fake import FakeBackend, FakeMemory
from overtone.batching.cost_model import CostModel, Shape
from overtone.batching.memory_plan import SAFETY_MARGIN_BYTES
from overtone.batching.policy import bucket
from overtone.errors import BudgetError, ModelError, OutOfMemory, UsageError
from overtone.system.memory import MIB
from overtone.types import FRAMES, Batch, EmotionOutput


class GatedBackend(FakeBackend):
    """Holds its first batch until told, so that a queue forms behind it."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.gate = threading.Event()

    def run(self, batch: Batch) -> list[EmotionOutput]:
        assert self.gate.wait(10)
        return super().run(batch)


@settings(max_examples=30)
# Ten of them at most: more than the audio in flight would wait for a gate that is opened after them.
@given(st.lists(st.floats(0.1, 12), min_size=1, max_size=10), st.integers(0, 40))
def test_every_segment_gets_its_own_answer_whatever_memory_there_is(lengths: list[float], limit_mib: int) -> None:
    clips = [noise(length, seed=i) for i, length in enumerate(lengths)]
    alone = [FakeBackend().run(Batch((clip,), len(clip)))[0] for clip in clips]
    backend = GatedBackend(limit_bytes=limit_mib * MIB, cost_model=PER_SECOND)
    with engine(backend) as running:
        futures = [running.submit(clip) for clip in clips]
        backend.gate.set()
        for clip, future, expected in zip(clips, futures, alone, strict=True):
            if PER_SECOND.predict(Shape(1, bucket(len(clip)) / 16_000)) > limit_mib * MIB:
                with pytest.raises(BudgetError, match="single segment"):
                    future.result(10)
            else:
                np.testing.assert_array_equal(future.result(10).total, expected.total)


def test_a_batch_that_does_not_fit_is_halved_noted_and_never_planned_again() -> None:
    backend = GatedBackend(limit_bytes=32 * MIB, cost_model=PER_SECOND)
    with engine(backend) as running:
        first = running.submit(noise(1))
        futures = [running.submit(noise(10, seed=i)) for i in range(4)]
        backend.gate.set()
        outputs = [future.result(10) for future in futures]
        assert first.result(10).notes == ()
        assert running.stats.splits == 1
        sizes = [len(batch) for batch in backend.batches]
        assert sizes == [1, 4, 2, 2]  # tried four, then two by two
        assert all("batch halved" in output.notes[0] for output in outputs)
        backend.gate.clear()
        again = [running.submit(noise(10, seed=i)) for i in range(6)]
        backend.gate.set()
        for future in again:
            future.result(10)
        assert max(len(batch) for batch in backend.batches[4:]) <= 3


def test_memory_that_comes_back_is_used_again() -> None:
    backend = GatedBackend(limit_bytes=32 * MIB, cost_model=PER_SECOND)

    def run(*seconds: float) -> int:
        """The largest of the batches that these come in."""
        backend.gate.clear()
        done = len(backend.batches)
        futures = [running.submit(noise(length, seed=i)) for i, length in enumerate(seconds)]
        backend.gate.set()
        for future in futures:
            future.result(10)
        return max(len(batch) for batch in backend.batches[done:])

    with engine(backend) as running:
        assert run(1, 10, 10, 10, 10) == 4
        assert running.stats.splits == 1
        backend.limit_bytes = 1 << 40  # another program has given its memory back
        assert run(1, 10, 10, 10, 10) == 3
        for _ in range(10):
            run(1)
        assert run(1, 10, 10, 10, 10) == 4
        assert running.stats.splits == 1


def test_what_a_failed_batch_left_behind_is_noted() -> None:
    class Leaking(GatedBackend):
        def run(self, batch: Batch) -> list[EmotionOutput]:
            assert self.gate.wait(10)
            if len(batch.waveforms) > 1:
                raise OutOfMemory("no more", left_bytes=3 * MIB)
            return FakeBackend.run(self, batch)

    backend = Leaking()
    with engine(backend) as running:
        futures = [running.submit(noise(1, seed=i)) for i in range(5)]
        backend.gate.set()
        notes = [note for future in futures for note in future.result(10).notes]
    assert notes
    assert all(note.endswith("batch halved; 3 MiB of it were not given back") for note in notes)


def test_a_single_segment_that_never_fits_fails_alone_and_the_rest_go_on() -> None:
    backend = FakeBackend(limit_bytes=5 * MIB, cost_model=PER_SECOND)
    with engine(backend) as running:
        big, small = running.submit(noise(10)), running.submit(noise(2))
        with pytest.raises(BudgetError, match="cut shorter"):
            big.result(10)
        assert small.result(10).count == 100


def test_a_segment_larger_than_the_budget_leaves_is_refused_with_the_number_that_would_do() -> None:
    backend = FakeBackend(cost_model=PER_SECOND)
    with engine(backend, budget=200 * MIB) as running:
        with pytest.raises(BudgetError, match=r"memory='\d+MiB'") as caught:
            running.submit(noise(300)).result(10)
        assert backend.batches == []
        assert backend.memory.trimmed > 0
        enough = int(str(caught.value).split("memory='")[1].split("MiB")[0])
    with engine(FakeBackend(cost_model=PER_SECOND), budget=enough * MIB) as running:
        running.submit(noise(300)).result(10)


def test_batches_keep_to_their_cap_in_padded_seconds() -> None:
    backend = GatedBackend()
    with engine(backend, batch_s=32.0, threshold_s=14.0) as running:
        futures = [running.submit(noise(length)) for length in (5, 15, 5.1, 15, 4.9, 5, 20, 5, 5, 5, 5)]
        backend.gate.set()
        for future in futures:
            future.result(10)
    assert sum(len(batch) for batch in backend.batches) == 11
    for batch in backend.batches:
        assert len(batch) * bucket(max(batch)) / 16_000 <= 32.0
        assert len(batch) == 1 or max(batch) <= 14 * 16_000


def test_segments_of_many_threads_share_batches() -> None:
    backend = GatedBackend()
    with engine(backend) as running:
        results: dict[int, EmotionOutput] = {}

        def ask(i: int) -> None:
            results[i] = running.submit(noise(2, seed=i)).result(10)

        threads = [threading.Thread(target=ask, args=(i,)) for i in range(12)]
        for thread in threads:
            thread.start()
        submitted = 12 * 32_000 * 4
        until(lambda: running.workers[0]._budget.audio.in_use == submitted)
        backend.gate.set()
        for thread in threads:
            thread.join(10)
    assert len(backend.batches) <= 2
    assert sum(len(batch) for batch in backend.batches) == 12
    for i, output in results.items():
        np.testing.assert_array_equal(output.total, FakeBackend().run(Batch((noise(2, seed=i),), 32_000))[0].total)


def test_a_prediction_that_was_short_is_not_made_again() -> None:
    backend = GatedBackend(cost_model=PER_SECOND)
    backend.true_cost = 1.5
    with engine(backend, budget=190 * MIB) as running:
        room = running.plan.batch_bytes
        backend.gate.set()
        running.submit(noise(10)).result(10)
        backend.gate.clear()
        futures = [running.submit(noise(10, seed=i)) for i in range(1, 13)]
        backend.gate.set()
        for future in futures:
            future.result(10)
    assert max(len(batch) for batch in backend.batches) > 1
    for batch in backend.batches[1:]:
        taken = 1.5 * PER_SECOND.predict(Shape(len(batch), bucket(max(batch)) / 16_000))
        assert taken <= room + SAFETY_MARGIN_BYTES


def test_audio_in_flight_is_bounded() -> None:
    backend = GatedBackend()
    with engine(backend, budget=400 * MIB) as running:
        bound = running.plan.audio_bytes
        seen = []

        def feed() -> None:
            for i in range(200):
                running.submit(noise(10, seed=i))
                seen.append(running.workers[0]._budget.audio.in_use)

        feeder = threading.Thread(target=feed)
        feeder.start()
        until(lambda: waiting_in(running.workers[0]._budget.audio._changed), "there is no room for more")
        stuck = len(seen)
        assert stuck < 200
        backend.gate.set()
        feeder.join(30)
    assert len(seen) == 200
    assert max(seen) <= bound
    assert running.workers[0]._budget.audio.in_use == 0


def test_a_failing_model_fails_its_batch_and_not_the_engine() -> None:
    class Broken(FakeBackend):
        def run(self, batch: Batch) -> list[EmotionOutput]:
            if len(batch.waveforms[0]) == 16_000:
                raise ZeroDivisionError("kernel")
            return super().run(batch)

    with engine(Broken()) as running:
        with pytest.raises(ZeroDivisionError):
            running.submit(noise(1)).result(10)
        assert running.submit(noise(2)).result(10).count == 100


def test_a_segment_that_the_model_fails_on_takes_no_other_along() -> None:
    class Fussy(GatedBackend):
        def run(self, batch: Batch) -> list[EmotionOutput]:
            outputs = super().run(batch)
            if any(waveform[0] == 7 for waveform in batch.waveforms):
                raise ZeroDivisionError("kernel")
            return outputs

    backend = Fussy()
    with engine(backend) as running:
        running.submit(noise(9))  # holds the thread while the others gather
        poisoned = noise(1)
        poisoned[0] = 7
        futures = [
            running.submit(samples) for samples in (noise(1, 1), noise(1, 2), poisoned, noise(1, 3), noise(1, 4))
        ]
        backend.gate.set()
        for index, future in enumerate(futures):
            if index == 2:
                with pytest.raises(ZeroDivisionError):
                    future.result(10)
            else:
                assert future.result(10).count == 50
    assert max(len(batch) for batch in backend.batches) == 5


def test_work_cancelled_in_time_costs_nothing() -> None:
    backend = GatedBackend()
    with engine(backend) as running:
        running.submit(noise(9))
        until(lambda: not running._queue)
        unwanted = running.submit(noise(1))
        assert unwanted.cancel()
        backend.gate.set()
        running.submit(noise(3)).result(10)
    assert 16_000 not in [length for batch in backend.batches for length in batch]


def test_closing_drains_and_frees_and_later_work_is_refused() -> None:
    backend = FakeBackend()
    running = engine(backend)
    futures = [running.submit(noise(1, seed=i)) for i in range(20)]
    running.close()
    assert all(future.done() for future in futures)
    assert backend.closed
    with pytest.raises(UsageError, match="closed"):
        running.submit(noise(1)).result(1)
    running.close()


def test_closing_without_draining_drops_what_waits() -> None:
    backend = GatedBackend()
    running = engine(backend)
    running.submit(noise(9))
    until(lambda: not running._queue)
    waiting = [running.submit(noise(1)) for _ in range(5)]
    threading.Timer(0.1, backend.gate.set).start()
    running.close(drain=False)
    for future in waiting:
        with pytest.raises(CancelledError):
            future.result(1)
    assert backend.closed


def test_frames_come_when_they_are_asked_for() -> None:
    with engine(FakeBackend()) as running:
        with_frames, without = running.submit(noise(1), decode_params=FRAMES), running.submit(noise(1))
        frames = with_frames.result(10).frames
        assert frames is not None
        assert frames.shape == (50, 2)
        assert without.result(10).frames is None


def test_a_device_that_is_gone_keeps_nobody_waiting() -> None:
    class Gone(FakeMemory):
        def allocated(self) -> int:
            if threading.current_thread() is not threading.main_thread():
                raise RuntimeError("the device fell off the bus")
            return super().allocated()

    backend = FakeBackend()
    backend.memory = Gone(0)
    running = engine(backend)
    with pytest.raises(ModelError, match=r"stopped working.*fell off the bus"):
        running.submit(noise(1)).result(5)
    with pytest.raises(UsageError, match="closed"):
        running.submit(noise(1)).result(5)
    running.close()


@pytest.mark.parametrize(("budget_mib", "trims"), [(10_000, 0), (152, 2)])
def test_memory_kept_for_the_next_batch_is_given_back_only_where_both_do_not_fit(budget_mib: int, trims: int) -> None:
    class Kept(FakeMemory):
        kept = 0

        def allocated(self) -> int:
            return super().allocated() + self.kept

        def reclaimable(self) -> int:
            return self.kept

        def trim(self) -> None:
            super().trim()
            self.kept = 0

    class Caching(FakeBackend):
        """Keeps what a batch took, as a device's allocator does, until it is told not to."""

        def run(self, batch: Batch) -> list[EmotionOutput]:
            outputs = super().run(batch)
            memory.kept = self.cost_model.predict(Shape(len(batch.waveforms), batch.padded / 16_000))
            return outputs

    memory = Kept(0)
    backend = Caching(cost_model=CostModel(0.0, 3.0 * MIB, 0.0, margin=1.0))
    backend.memory = memory
    with engine(backend, budget=budget_mib * MIB) as running:
        for seconds in (25, 24, 25):
            running.submit(noise(seconds)).result(10)
            assert memory.kept + memory.resident <= running.plan.budget_bytes
    assert len(backend.batches) == 3
    assert backend.memory.trimmed == trims
