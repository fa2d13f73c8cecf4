"""A batch of background work that was begun while nobody waited gives way to whoever comes."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

from helpers.clips import buzz
from helpers.engines import engine, noise
from helpers.waiting import until
from overtone import Audio, EmotionRecognizer
from overtone.backends.fake import FakeBackend
from overtone.batching.fairness import PREEMPT_AFTER_S
from overtone.engine.engine import Engine
from overtone.errors import UsageError
from overtone.models.emotion2vec import random_checkpoint
from overtone.models.task import Preempted
from overtone.pipelines.request import RequestContext
from overtone.types import Batch, EmotionOutput


class Slow(FakeBackend):
    """Runs a batch until it is told to go on, or interrupted. `lasts_s`: of those that nobody has to wait for."""

    def __init__(self) -> None:
        super().__init__()
        self.running, self.go, self.stop = threading.Event(), threading.Event(), threading.Event()

    def run(self, batch: Batch) -> list[EmotionOutput]:
        self.running.set()
        while not self.go.wait(0.005):
            if self.stop.is_set():
                self.stop.clear()
                raise Preempted
        return super().run(batch)

    def preempt(self) -> None:
        super().preempt()
        self.stop.set()


def rated(running: Engine) -> None:
    """As if it had run 100 s of audio in 100 s: a batch has left what it lasts."""
    stats = running.workers[0].stats
    stats.run_s = stats.padded_s = 100.0


def test_a_long_one_gives_way_and_is_run_after() -> None:
    backend = Slow()
    with engine(backend) as running:
        rated(running)
        job = running.submit(noise(20), background=True)
        assert backend.running.wait(10)
        somebody = running.submit(noise(3))
        until(lambda: running.stats.interrupted == 1)
        backend.go.set()
        assert somebody.result(10).count == 150
        assert job.result(10).count == 1000
    assert [len(samples) for samples in (noise(3), noise(20))] == [lengths[0] for lengths in backend.batches]
    assert backend.interrupts == 1


def test_one_that_is_nearly_done_is_waited_for() -> None:
    backend = Slow()
    with engine(backend) as running:
        rated(running)
        job = running.submit(noise(PREEMPT_AFTER_S - 1), background=True)
        assert backend.running.wait(10)
        somebody = running.submit(noise(3))
        backend.go.set()
        assert (job.result(10).count, somebody.result(10).count) == (200, 150)
    assert backend.interrupts == 0


def test_nothing_else_gives_way() -> None:
    backend = Slow()
    with engine(backend) as running:
        rated(running)
        first = running.submit(noise(20))  # somebody waits for it
        assert backend.running.wait(10)
        second, third = running.submit(noise(3)), running.submit(noise(20), background=True)
        backend.go.set()
        for future in (first, second, third):
            future.result(10)
    assert backend.interrupts == 0


def test_what_earned_its_turn_keeps_it() -> None:
    backend = Slow()
    with engine(backend) as running:
        rated(running)
        running._queue._share.earned_s = 30.0
        head = running.submit(noise(2))
        assert backend.running.wait(10)
        job, somebody = running.submit(noise(20), background=True), running.submit(noise(3))
        backend.running.clear()
        backend.go.set()
        head.result(10)
        backend.go.clear()
        until(backend.running.is_set)
        late = running.submit(noise(3))
        backend.go.set()
        for future in (job, somebody, late):
            future.result(10)
    assert backend.interrupts == 0


def test_what_gave_way_is_told_when_it_is_closed_before_it_ran() -> None:
    backend = Slow()
    running = engine(backend)
    rated(running)
    job = running.submit(noise(20), background=True)
    assert backend.running.wait(10)
    backend.running.clear()
    somebody = running.submit(noise(3))
    until(lambda: running.stats.interrupted == 1 and backend.running.is_set())
    closing = threading.Thread(target=running.close, kwargs={"drain": False})
    closing.start()
    until(job.done)
    backend.go.set()
    closing.join(10)
    assert somebody.result(10).count == 150
    with pytest.raises(UsageError, match="closed"):
        job.result(0)


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Large enough that half a minute of it takes a while."""
    shape = {"embed_dim": 192, "num_heads": 3, "depth": 6, "prenet_depth": 2, "channels": 96}
    return random_checkpoint.write(tmp_path_factory.mktemp("wide") / "checkpoint", shape)


def test_openvino_gives_way_in_the_middle_and_both_answers_are_right(wide: Path) -> None:
    class Behind(RequestContext):
        background = True

    with EmotionRecognizer(str(wide), memory="4GiB") as recognizer:
        long, short = Audio(buzz(29.0, seed=1), 16_000), Audio(buzz(1.0, seed=2), 16_000)
        alone = recognizer(long).scores, recognizer(short).scores
        stats = recognizer.runtime.engine.workers[0].stats
        for _ in range(20):
            answers = []
            job = threading.Thread(target=lambda: answers.append(recognizer.results_for(long, Behind())[0]))  # noqa: B023
            before = stats.batches
            job.start()
            until(lambda: recognizer.runtime.engine.workers[0]._preemptible is not None or stats.batches > before)  # noqa: B023
            said = recognizer(short)
            job.join(30)
            np.testing.assert_allclose(list(said.scores.values()), list(alone[1].values()), atol=1e-5)
            np.testing.assert_allclose(list(answers[0].scores.values()), list(alone[0].values()), atol=1e-5)
            if stats.interrupted:
                break
        assert stats.interrupted
