"""A backend without a model, with a memory limit to run out of, for tests and trials."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from overtone.batching.cost_model import CostModel, Shape
from overtone.errors import OutOfMemory
from overtone.types import SAMPLE_RATE, Batch, EmotionOutput


class FakeMemory:
    """Memory of a device that is not there. resident: bytes in use, whatever runs. highest: the most that a batch took,
    on top of them. trimmed: how often `trim` was called."""

    def __init__(self, resident: int) -> None:
        self.resident = self.highest = resident
        self.trimmed = 0

    def allocated(self) -> int:
        """`resident`."""
        return self.resident

    def reclaimable(self) -> int:
        """0: nothing is kept between batches."""
        return 0

    def peak(self) -> int:
        """`highest`."""
        return self.highest

    def trim(self) -> None:
        """Count the call; there is nothing to give back."""
        self.trimmed += 1

    def measure(self, function: Callable[[], object]) -> int:
        """0; the function is called."""
        function()
        return 0


class FakeBackend:
    """A backend without a model: embeds each frame as (mean, peak) of its samples, so answers can be checked.

    It charges `cost_model` for every batch, raises OutOfMemory over `limit_bytes`, and keeps what it was asked
    in `batches`. Ships with the package, to test what stands on the engine without weights.
    """

    HOP = 320

    def __init__(
        self, limit_bytes: int = 1 << 40, cost_model: CostModel | None = None, resident_bytes: int = 0
    ) -> None:
        self.limit_bytes = limit_bytes
        self.cost_model = cost_model or CostModel(0.0, 1000.0, 0.0, margin=1.0)
        self.true_cost = 1.0
        """Bytes of a batch as a multiple of what `cost_model` predicts; the peak counts them."""
        self.memory = FakeMemory(resident_bytes)
        self.batches: list[tuple[int, ...]] = []
        self.interrupts = 0
        self.closed = False

    name = "fake"
    device = "fake"
    precision = "fp32"

    def run(self, batch: Batch) -> list[EmotionOutput]:
        """Mean and peak of every 20 ms of each waveform. ValueError where a waveform is longer than the padding."""
        lengths = tuple(len(waveform) for waveform in batch.waveforms)
        if max(lengths) > batch.padded:
            raise ValueError("a waveform is longer than the batch is padded to")
        self.batches.append(lengths)
        need = self.cost_model.predict(Shape(len(lengths), batch.padded / SAMPLE_RATE))
        self.memory.highest = max(self.memory.highest, self.memory.resident + int(need * self.true_cost))
        if need > self.limit_bytes:
            raise OutOfMemory(f"{need} bytes wanted, {self.limit_bytes} there")
        outputs = []
        for waveform in batch.waveforms:
            count = max(1, len(waveform) // self.HOP)
            rows = np.resize(waveform, (count, self.HOP)).astype(np.float64)
            frames = np.stack([rows.mean(axis=1), np.abs(rows).max(axis=1)], axis=1)
            kept = frames.astype(np.float32) if batch.want_frames else None
            outputs.append(EmotionOutput(count, frames.sum(axis=0), kept))
        return outputs

    def preempt(self) -> None:
        """Count the call; nothing is preempted."""
        self.interrupts += 1

    def cost(self, longest_s: float) -> CostModel:
        """The cost model that it was made with; nothing is measured."""
        return self.cost_model

    def close(self) -> None:
        """Note that it was closed."""
        self.closed = True
