"""Several devices behind one queue, each a FakeBackend."""

from __future__ import annotations

import threading
from concurrent.futures import CancelledError
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from helpers.clips import voice
from helpers.engines import noise
from helpers.waiting import until, waiting_in
from overtone import Audio, EmotionRecognizer
from overtone.backends.fake import FakeBackend
from overtone.batching.memory_plan import make_plan
from overtone.batching.queue import SegmentQueue
from overtone.engine import runtime
from overtone.engine.device_model import DeviceModel
from overtone.engine.engine import Engine
from overtone.engine.worker import Worker
from overtone.errors import DeviceError, ModelError, UsageError
from overtone.options.emotion import Options
from overtone.system import devices
from overtone.system.devices import resolve_devices
from overtone.types import Batch, EmotionOutput


class Named(FakeBackend):
    """A backend with a name, that waits for `gate` before each batch and dies once `dead` is set."""

    def __init__(self, device: str, **settings: Any) -> None:
        super().__init__(**settings)
        self.device = device
        self.gate = threading.Event()
        self.running = threading.Event()
        self.dead = False

    def run(self, batch: Batch) -> list[EmotionOutput]:
        self.running.set()
        assert self.gate.wait(10)
        if self.dead:
            raise DeviceError(f"{self.device} answers no more", code="device_lost")
        return super().run(batch)


def fleet(*backends: Named, budget: int = 1 << 40, batch_s: float = 8.0) -> Engine:
    waiting = SegmentQueue()
    engines = []
    for backend in backends:
        cost = backend.cost(30.0)
        plan = make_plan(budget_bytes=budget, resident_bytes=0, cost=cost, longest_s=30.0, batch_s=batch_s)
        engines.append(Worker(backend, plan, waiting))
    return Engine(engines, waiting)


def named(count: int) -> list[Named]:
    return [Named(f"fake:{index}") for index in range(count)]


def test_every_device_works_and_each_answer_is_its_own_segments() -> None:
    backends = named(3)
    together = fleet(*backends)
    clips = [noise(1 + i % 5, seed=i) for i in range(60)]
    futures = [together.submit(clip) for clip in clips[:20]]
    for backend in backends:
        assert backend.running.wait(10)  # all three are at it before any has answered
    for backend in backends:
        backend.gate.set()
    futures += [together.submit(clip) for clip in clips[20:]]
    outputs = [future.result(10) for future in futures]
    together.close()
    assert {output.device for output in outputs} == {"fake:0", "fake:1", "fake:2"}
    assert sum(len(batch) for backend in backends for batch in backend.batches) == 60
    for clip, output in zip(clips, outputs, strict=True):
        np.testing.assert_array_equal(output.total, FakeBackend().run(Batch((clip,), len(clip)))[0].total)
    assert together.stats.segments == 60
    assert together.stats.batches == sum(engine.stats.batches for engine in together.workers)
    assert (together.device, together.precision) == ("fake:0,fake:1,fake:2", "fp32")


def test_a_device_that_dies_fails_what_it_ran_and_the_others_say_so_and_go_on() -> None:
    dying, healthy = named(2)
    together = fleet(dying, healthy)
    first = [together.submit(noise(8)) for _ in range(2)]  # a batch for each
    assert dying.running.wait(10)
    assert healthy.running.wait(10)
    rest = [together.submit(noise(2, seed=i)) for i in range(20)]
    dying.dead = True
    dying.gate.set()
    until(lambda: dying.closed)
    healthy.gate.set()
    failed = [future for future in first if future.exception(10)]
    assert len(failed) == 1
    with pytest.raises(ModelError, match=r"fake:0 stopped working.*start anew"):
        failed[0].result()
    for future in rest:
        output = future.result(10)
        assert output.device == "fake:1"
        assert any("fake:0 stopped working" in note for note in output.notes)
    assert together.submit(noise(1)).result(10).count == 50
    together.close()
    assert dying.batches == []


def test_a_device_that_dies_when_it_was_woken_wakes_another() -> None:
    waiting = SegmentQueue()
    for name in ("first", "second"):
        waiting.register(name, 1 << 20)
    woken: list[str] = []

    def take(name: str) -> None:
        if waiting.wait():
            woken.append(name)

    def die() -> None:
        take("first")
        waiting.unregister("first", "it stopped working")

    threads = [threading.Thread(target=target, daemon=True) for target in (die, lambda: take("second"))]
    for number, thread in enumerate(threads, 1):
        thread.start()
        until(lambda: waiting_in(waiting._changed) == number)  # noqa: B023 - the first waits before the second
    waiting.put(noise(1))
    for thread in threads:
        thread.join(10)
    assert woken == ["first", "second"]


def test_when_the_last_device_dies_nobody_waits_for_ever() -> None:
    backends = named(2)
    together = fleet(*backends)
    first = [together.submit(noise(8)) for _ in range(2)]
    for backend in backends:
        assert backend.running.wait(10)
    rest = [together.submit(noise(2, seed=i)) for i in range(5)]
    for backend in backends:
        backend.dead = True
        backend.gate.set()
    for future in (*first, *rest):
        with pytest.raises(ModelError, match="stopped working"):
            future.result(10)
    with pytest.raises(UsageError, match="closed"):
        together.submit(noise(1)).result(10)
    together.close()


def test_a_batch_that_fails_on_a_device_that_lives_is_only_its_own() -> None:
    class Broken(Named):
        def run(self, batch: Batch) -> list[EmotionOutput]:
            if len(batch.waveforms[0]) == 16_000:
                raise ZeroDivisionError("kernel")
            return FakeBackend.run(self, batch)

    together = fleet(Broken("fake:0"), Broken("fake:1"))
    for _ in range(4):
        with pytest.raises(ZeroDivisionError):
            together.submit(noise(1)).result(10)
    assert together.submit(noise(2)).result(10).notes == ()
    together.close()


def test_closing_drains_all_and_without_drains_none() -> None:
    for drain in (True, False):
        backends = named(2)
        together = fleet(*backends)
        running = [together.submit(noise(8)) for _ in range(2)]
        for backend in backends:
            assert backend.running.wait(10)
        waiting = [together.submit(noise(2)) for _ in range(6)]
        for backend in backends:
            threading.Timer(0.1, backend.gate.set).start()
        together.close(drain=drain)
        assert all(future.result(10) for future in running)
        for future in waiting:
            if drain:
                assert future.result(10).count == 100
            else:
                with pytest.raises(CancelledError):
                    future.result(10)
        assert all(backend.closed for backend in backends)
        together.close()


def test_audio_in_flight_is_bounded_once_and_each_device_keeps_its_own_budget() -> None:
    large, small = named(2)
    waiting = SegmentQueue()
    plans = [
        make_plan(budget_bytes=budget, resident_bytes=0, cost=backend.cost(30.0), longest_s=30.0, batch_s=8.0)
        for backend, budget in ((large, 400 << 20), (small, 200 << 20))
    ]
    together = Engine([Worker(b, p, waiting) for b, p in zip((large, small), plans, strict=True)], waiting)
    assert waiting.audio.capacity == sum(plan.audio_bytes - plan.segmenter_bytes for plan in plans)
    assert together.plan is plans[1]
    for engine, plan in zip(together.workers, plans, strict=True):
        # With nothing submitted, room is what is left after the device's own audio, and nobody else's.
        assert engine._budget.available() == plan.budget_bytes - plan.audio_bytes
    together.close()


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("cuda:all", ["cuda:0", "cuda:1", "cuda:2"]),
        ("cuda:2,cuda:0", ["cuda:2", "cuda:0"]),
        ("cuda, cuda:1", ["cuda:0", "cuda:1"]),
        ("auto", ["cuda:0"]),
        ("cpu", ["cpu"]),
    ],
)
def test_devices_as_they_are_typed(monkeypatch: pytest.MonkeyPatch, asked: str, found: list[str]) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    monkeypatch.setattr(devices, "_may_have_cuda", lambda: True)
    assert resolve_devices(asked) == found


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("cuda:0,cuda:0", "cuda:0 twice"),
        ("cuda,cuda:0", "cuda:0 twice"),
        ("cpu,cuda:0", "the CPU runs alone"),
        ("cuda:0,cuda:3", "only 3 CUDA"),
        ("cuda:0,", "unknown device ''"),
        ("cuda:²", "unknown device 'cuda:²'"),
    ],
)
def test_devices_that_cannot_be(monkeypatch: pytest.MonkeyPatch, asked: str, said: str) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    with pytest.raises(DeviceError, match=said):
        resolve_devices(asked)


@pytest.mark.parametrize(("platform", "found"), [("win32", "cuda:0"), ("linux", "cpu")])
def test_auto_asks_pytorch_where_a_driver_shows_no_sign(
    monkeypatch: pytest.MonkeyPatch, platform: str, found: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(devices, "_CUDA_SIGNS", ())
    monkeypatch.setattr(devices.sys, "platform", platform)
    assert resolve_devices("auto") == [found]


def test_all_of_no_gpus_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(DeviceError, match="no CUDA device is seen"):
        resolve_devices("cuda:all")


def test_a_source_cut_over_several_devices_names_them_and_is_answered_the_same(
    small_checkpoint: Path, recognizer: EmotionRecognizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources = [Audio(voice(8.0 + i, seed=i), 16_000) for i in range(6)]
    monkeypatch.setattr(runtime, "resolve_devices", lambda _: ["cpu", "cpu"])
    settings: dict[str, Any] = {"memory": "4GiB", "segment": "window", "window": 2.0, "batch_size_s": 3.0}
    with EmotionRecognizer(str(small_checkpoint), **settings) as several:
        engine = several.runtime.engine
        assert len(engine.workers) == 2
        for index, one in enumerate(engine.workers):
            one.backend.device = f"cpu:{index}"  # type: ignore[misc] # two devices, as far as anyone can see
        ours = list(several.stream(sources))
    monkeypatch.undo()
    with EmotionRecognizer(str(small_checkpoint), **settings) as alone:
        expected = list(alone.stream(sources))
    devices = {device for result in ours for device in result.device.split(",")}
    assert devices == {"cpu:0", "cpu:1"}
    assert any(result.device == "cpu:0,cpu:1" for result in ours)
    for a, b in zip(ours, expected, strict=True):
        assert b.device == "cpu"
        assert a.scores is not None
        assert b.scores is not None
        assert list(a.scores.values()) == pytest.approx(list(b.scores.values()), abs=1e-6)


def test_where_one_device_cannot_be_started_none_is_left_running(
    small_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime, "resolve_devices", lambda _: ["cpu", "cuda:0"])

    closed = []

    def budget(_: Options, device: str) -> int:
        if device == "cpu":
            return 4 << 30
        raise DeviceError(f"{device} is gone")

    monkeypatch.setattr(runtime, "device_budget", budget)
    monkeypatch.setattr(DeviceModel, "close", lambda model: closed.append(model.device))
    before = {thread.name for thread in threading.enumerate()}
    with pytest.raises(DeviceError, match="cuda:0 is gone"):
        EmotionRecognizer(
            str(small_checkpoint),
        )
    assert closed == ["cpu"]
    assert {thread.name for thread in threading.enumerate()} == before
