"""A task over the graphs of its model: what the engine runs for everything but emotion2vec."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

from overtone.backends import cost_probe
from overtone.backends.graphs import Graphs
from overtone.batching.cost_model import CostModel, Shape
from overtone.models.task import Task
from overtone.system.machine import trim_heap
from overtone.types import SAMPLE_RATE, Batch, ModelOutput

_T = TypeVar("_T")

_ROW_S = 0.6
"""Seconds that a row is charged for beyond its audio: what lengths are rounded up by, and tokens that stand for no
audio."""

_TIDY_S = 30.0
"""Seconds of audio after which free heap is given back: batches of many shapes leave it in pieces, which add up."""


class TaskBackend:
    """See `LoadableBackend`."""

    def __init__(self, graphs: Graphs, task: Task) -> None:
        self._graphs, self._task = graphs, task
        self.name, self.version, self.device = graphs.name, graphs.version, graphs.device
        self.precision, self.device_name = graphs.precision, graphs.hardware
        self._since_trim_s = 0.0

    @property
    def task(self) -> Task:
        """What it does with waveforms."""
        return self._task

    def run(self, batch: Batch) -> Sequence[ModelOutput]:
        """See Backend."""
        return self._guarded(lambda: self._task.answer(self._graphs.run, batch), batch)

    def _rehearse(self, batch: Batch) -> None:
        self._guarded(lambda: self._task.run_worst_case(self._graphs.run, batch), batch)

    def _guarded(self, work: Callable[[], _T], batch: Batch) -> _T:
        done = self._graphs.guard(work)
        self._since_trim_s += sum(len(waveform) for waveform in batch.waveforms) / SAMPLE_RATE
        if self._since_trim_s >= _TIDY_S:
            self._since_trim_s = 0.0
            trim_heap()
        return done

    def preempt(self) -> None:
        """See Backend. A batch is one run, and is run to its end."""

    def warm_up(self) -> None:
        """See LoadableBackend. Few and many frames: OpenVINO packs weights anew for either."""
        for shape in (Shape(1, 0.5), Shape(1, 8.0)):
            self._rehearse(cost_probe.noise(shape))

    def cost(self, longest_s: float) -> CostModel:
        """See Backend. Rehearses a few shapes, as noise itself might be heard as nothing."""
        probe = partial(self._graphs.probe, self._rehearse)
        return cost_probe.measure(probe, longest_s, row_s=_ROW_S, quadratic=True)

    def allocated_bytes(self) -> int:
        """See Backend."""
        return self._graphs.allocated_bytes()

    def reclaimable_bytes(self) -> int:
        """See Backend."""
        return self._graphs.reclaimable_bytes()

    def peak_bytes(self) -> int:
        """See Backend."""
        return self._graphs.peak_bytes()

    def trim(self) -> None:
        """See Backend."""
        self._graphs.trim()

    def close(self) -> None:
        """See Backend."""
        self._graphs.close()
