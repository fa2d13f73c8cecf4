"""A short clip beside long files, from source to result: the batches that are run until it is answered."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from helpers.engines import noise
from helpers.waiting import until
from overtone import Audio, EmotionRecognizer
from overtone.backends.fake import FakeBackend
from overtone.batching.memory_plan import make_plan
from overtone.batching.queue import SegmentQueue
from overtone.engine.engine import Engine
from overtone.engine.model_instance import ModelInstance
from overtone.engine.runtime import ReservedCapacity, Runtime
from overtone.engine.worker import Worker
from overtone.options.emotion import Options
from overtone.pipelines.request import RequestContext
from overtone.types import Batch, EmotionOutput, ModelOutput, Segment

LONG_S, CLIP_S = 600.0, 3.0


class Stepped(FakeBackend):
    """Runs one batch each time that it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.go, self.begun = threading.Semaphore(0), 0

    def run(self, batch: Batch) -> list[EmotionOutput]:
        self.begun += 1
        assert self.go.acquire(timeout=60)
        return super().run(batch)

    def step(self) -> None:
        """Let one batch through; what was in it is answered before the next, which is waited for, has begun."""
        number = self.begun
        self.go.release()
        until(lambda: self.begun > number, "there is another batch")

    def finish(self) -> None:
        """Let all batches through from now on."""
        self.go.release(10_000)


class Asked(RequestContext):
    """A request for so many seconds of noise, and a thread that waits for its result."""

    def __init__(self, of: EmotionRecognizer, seconds: float, tenant: str | None = None) -> None:
        super().__init__(tenant)
        self.expected_s, self.answered_s = seconds, 0.0
        audio = Audio(noise(seconds), 16_000)
        self.thread = threading.Thread(target=self._ask, args=(of, audio), daemon=True)
        self.thread.start()

    def _ask(self, of: EmotionRecognizer, audio: Audio) -> None:
        with suppress(CancelledError):
            of.results_for(audio, self)

    def on_output(self, segment: Segment, output: ModelOutput | None) -> None:
        self.answered_s += segment.span.stop_s - segment.span.start_s

    @property
    def answered(self) -> bool:
        """True once all of it is."""
        return self.answered_s >= (self.expected_s or 0.0) - 0.001

    def join(self) -> None:
        self.thread.join(60)
        assert not self.thread.is_alive()


@contextmanager
def recognizer(backend: FakeBackend, *, decoders: int = 2) -> Iterator[EmotionRecognizer]:
    """As a service has it, but for the model."""
    options, reserve = Options(vad="none", max_segment=20.0), ReservedCapacity(short=1)
    cost = backend.cost(20.0)
    plan = make_plan(
        budget_bytes=1 << 40, resident_bytes=0, cost=cost, longest_s=20.0, producers=decoders, batch_s=32.0
    )
    queue = SegmentQueue(shared=True)
    engine = Engine([Worker(backend, plan, queue)], queue)
    task: Any = SimpleNamespace(min_samples=400, hop=320, dim=2, head=None)
    models: Any = {"emotion": ModelInstance("fake", Path(), task, engine)}
    runtime = Runtime(options, "emotion", models, 1, decoders, reserve)
    with engine:
        yield EmotionRecognizer.from_runtime(runtime)


@pytest.mark.parametrize("files", [1, 4])
def test_a_clip_beside_files_of_ten_minutes_waits_for_a_few_batches(files: int) -> None:
    backend = Stepped()
    with recognizer(backend) as running:
        engine = running.runtime.engine
        long = [Asked(running, LONG_S) for _ in range(files)]
        until(lambda: engine.queued_bytes >= 60 * 16_000 * 4 and backend.begun, "all that may be of the files waits")
        clip, before = Asked(running, CLIP_S), backend.begun
        until(lambda: len(engine._queue) and any(len(item) == CLIP_S * 16_000 for item in engine._queue._items))
        while not clip.answered:
            backend.step()
        # What ran when it came, what a turn of the one file that is cut meanwhile may be, and its own.
        assert backend.begun - 1 - before <= 3
        backend.finish()
        for request in (clip, *long):
            request.join()
    assert sum(sum(lengths) for lengths in backend.batches) / 16_000 == files * LONG_S + CLIP_S


def test_a_key_with_many_files_does_not_hold_up_one_with_one() -> None:
    backend = Stepped()
    with recognizer(backend, decoders=3) as running:
        many = [Asked(running, 100.0, "many") for _ in range(6)]
        until(lambda: running._ingestor._decoding._slots.waiting == 4, "two are cut, and the others wait for that")
        until(lambda: backend.begun)
        one = Asked(running, 100.0, "one")
        until(lambda: running._ingestor._decoding._slots.waiting == 5)
        while not one.answered:
            backend.step()
        # One of the two that were begun had to end before; the other, and one more, had as many turns as this.
        assert sum(request.answered for request in many) <= 3
        backend.finish()
        for request in (one, *many):
            request.join()


def test_who_is_cancelled_while_it_waits_for_a_place_waits_no_longer() -> None:
    backend = Stepped()
    with recognizer(backend, decoders=3) as running:
        decoding = running._ingestor._decoding
        long = [Asked(running, LONG_S) for _ in range(2)]
        until(lambda: decoding.in_use == 2 and backend.begun)
        waiting = [Asked(running, LONG_S) for _ in range(5)]
        until(lambda: decoding._slots.waiting == 5)
        for request in waiting[:-1]:
            request.cancel()
            request.join()  # not one batch has been let through
        assert (decoding.in_use, decoding._slots.waiting) == (2, 1)
        backend.finish()
        for request in (*long, waiting[-1]):
            request.join()
    assert waiting[-1].answered
    assert (decoding.in_use, decoding._slots.waiting) == (0, 0)
