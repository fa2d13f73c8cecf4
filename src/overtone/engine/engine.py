"""Several engines, one for each device, behind one list of what waits."""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable, Sequence
from concurrent.futures import Future
from typing import Any

from overtone.batching.memory_plan import Plan
from overtone.batching.queue import SegmentQueue
from overtone.engine.stats import EngineStats
from overtone.engine.worker import Engine
from overtone.system.profiler import Profiler
from overtone.types import Samples


class Fleet:
    """What an `Engine` is, for several devices. Whichever is free takes the next batch.

    engines: at least one, all made with `waiting`. A device that dies fails what it was running, and the others go on.
    """

    def __init__(self, engines: Sequence[Engine], waiting: SegmentQueue) -> None:
        self._engines = tuple(engines)
        self._waiting = waiting

    @property
    def engines(self) -> tuple[Engine, ...]:
        """One for each device."""
        return self._engines

    @property
    def device(self) -> str:
        """All of them, joined by commas."""
        return ",".join(engine.device for engine in self._engines)

    @property
    def backend_name(self) -> str:
        """The same on all of them."""
        return self._engines[0].backend_name

    @property
    def stages(self) -> Profiler:
        """What times them, and whoever feeds them."""
        return self._engines[0].stages

    @property
    def precision(self) -> str:
        """The same on all of them."""
        return self._engines[0].precision

    @property
    def plan(self) -> Plan:
        """The tightest device's: what it can hold, any of them can."""
        return min((engine.plan for engine in self._engines), key=lambda plan: plan.batch_bytes)

    @property
    def stats(self) -> EngineStats:
        """What all of them have done so far; seconds are added up, though they ran side by side."""
        rows = [dataclasses.astuple(engine.stats) for engine in self._engines]
        return EngineStats(*(sum(column) for column in zip(*rows, strict=True)))

    @property
    def peak_bytes(self) -> int:
        """The fullest device's."""
        return max(engine.peak_bytes for engine in self._engines)

    @property
    def alive(self) -> bool:
        """See Engine."""
        return not self._waiting.closed

    @property
    def queued_bytes(self) -> int:
        """See Engine."""
        return self._waiting.audio.in_use

    def submit(self, samples: Samples, *, decode_params: Hashable = None, background: bool = False) -> Future[Any]:
        """See Engine."""
        # It is the same list.
        return self._engines[0].submit(samples, decode_params=decode_params, background=background)

    def wait_until_idle(self) -> None:
        """See Engine."""
        self._engines[0].wait_until_idle()

    def close(self, *, drain: bool = True) -> None:
        """See Engine."""
        self.stop(drain=drain)
        self.join()

    def stop(self, *, drain: bool = True) -> None:
        """See Engine."""
        self._waiting.close(drain=drain)

    @property
    def on_worker_thread(self) -> bool:
        """Whether the calling thread is one of the engines' own."""
        return any(engine.on_worker_thread for engine in self._engines)

    def join(self) -> None:
        """See Engine."""
        for engine in self._engines:
            engine.join()
