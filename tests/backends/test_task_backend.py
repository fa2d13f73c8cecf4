"""How a task is warmed up and measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

import numpy as np

from overtone.backends.graphs import Graphs
from overtone.backends.task_backend import TaskBackend
from overtone.models.task import Array, RunGraph, Task
from overtone.types import Batch


class Deaf(Task):
    """A task that hears nothing, and so runs nothing but in a rehearsal."""

    graphs, hop, min_samples = ("decoder",), 320, 400

    def answer(self, run: RunGraph, batch: Batch) -> list[Any]:
        return []

    def run_worst_case(self, run: RunGraph, batch: Batch) -> None:
        run("decoder", {"length": np.full(len(batch.waveforms), batch.padded)})


class Watched:
    """Graphs that remember what was run; it takes as many bytes as it is long."""

    name = version = device = hardware = precision = "watched"
    quadratic, fixed_bytes, warm_up, notes = True, 0, (), ()

    def __init__(self) -> None:
        self.seen: list[int] = []
        self.memory = self

    def run(self, graph: str, inputs: Mapping[str, Array]) -> Mapping[str, Array]:
        self.seen.append(int(inputs["length"].sum()))
        return {}

    def guard(self, work: Callable[[], Any]) -> Any:
        return work()

    def measure(self, function: Callable[[], object]) -> int:
        function()
        return self.seen[-1]


def test_what_is_not_heard_in_noise_is_warmed_up_and_measured_all_the_same() -> None:
    graphs = Watched()
    backend = TaskBackend(cast("Graphs", graphs), Deaf())
    backend.warm_up()
    assert len(set(graphs.seen)) == 2
    assert backend.cost(20.0).per_second > 10_000
