"""A task over the graphs of its model: the one way in which every model is run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from overtone.backends import cost_probe
from overtone.backends.graphs import Graphs
from overtone.backends.memory import DeviceMemory
from overtone.batching.cost_model import CostModel
from overtone.models.task import Task
from overtone.system.machine import trim_heap
from overtone.types import SAMPLE_RATE, Batch, ModelOutput

_T = TypeVar("_T")

_TIDY_S = 30.0
"""Seconds of audio after which free heap is given back. Batches of many shapes leave it in pieces, which add up: over
an hour `tiny` peaked at 241 MiB without, and at 225 with, in the same time."""


class TaskBackend:
    """A `Backend`: runs batches as its task says, on its graphs."""

    def __init__(self, graphs: Graphs, task: Task) -> None:
        self.graphs, self.task = graphs, task
        self.name, self.version, self.device = graphs.name, graphs.version, graphs.device
        self.precision = graphs.precision
        self._since_trim_s = 0.0

    @property
    def memory(self) -> DeviceMemory:
        """The memory that the budget bounds."""
        return self.graphs.memory

    @property
    def device_name(self) -> str:
        """The hardware's own name, as far as a cost depends on it."""
        return self.graphs.hardware

    def run(self, batch: Batch) -> Sequence[ModelOutput]:
        """One output per waveform, in order. Raises OutOfMemory, with nothing kept, where the batch does not fit."""
        outputs = self._guarded(lambda: self.task.answer(self.graphs.run, batch), batch)
        notes = self.graphs.notes
        return [replace(output, notes=notes) for output in outputs] if notes else outputs

    def _rehearse(self, batch: Batch) -> None:
        self._guarded(lambda: self.task.run_worst_case(self.graphs.run, batch), batch)

    def _guarded(self, function: Callable[[], _T], batch: Batch) -> _T:
        done = self.graphs.guard(function)
        self._since_trim_s += sum(len(waveform) for waveform in batch.waveforms) / SAMPLE_RATE
        if self._since_trim_s >= _TIDY_S:
            self._since_trim_s = 0.0
            trim_heap()
        return done

    def preempt(self) -> None:
        """Have `run` end with `Preempted` where that can still be done soon. Called by other threads."""
        self.graphs.preempt()

    def warm_up(self) -> None:
        """Run a little noise, so that weights are resident and kernels chosen before anything is measured."""
        for shape in (*self.task.warm_up, *self.graphs.warm_up):
            self._rehearse(cost_probe.noise(shape))

    def cost(self, longest_s: float) -> CostModel:
        """Cost of batches, measured by running a few shapes at their worst, as noise may be heard as nothing."""
        cost = cost_probe.measure(
            lambda batch: self.memory.measure(lambda: self._rehearse(batch)),
            longest_s,
            row_s=self.task.row_s(self.name),
            quadratic=self.graphs.quadratic,
        )
        return replace(cost, fixed=cost.fixed + self.graphs.fixed_bytes)

    def close(self) -> None:
        """Free the model."""
        self.graphs.close()
