"""The task: waveforms cut into frames, and sums of the frames' embeddings."""

from __future__ import annotations

import numpy as np

from overtone.models.task import RunGraph, Task
from overtone.types import Batch, EmotionOutput

HOP, DIM = 320, 4


class ToyTask(Task):
    """Runs the graph `encoder`; answers are `EmotionOutput`s."""

    graphs = ("encoder",)
    hop = min_samples = HOP
    dim = DIM

    def answer(self, run: RunGraph, batch: Batch) -> list[EmotionOutput]:
        outputs = []
        for waveform in batch.waveforms:
            count = len(waveform) // HOP
            frames = np.ascontiguousarray(waveform[: count * HOP].reshape(count, HOP))
            rows = np.array(run("encoder", {"frames": frames})["embeddings"])
            outputs.append(
                EmotionOutput(count, rows.sum(axis=0, dtype=np.float64), rows if batch.want_frames else None)
            )
        return outputs

    def run_worst_case(self, run: RunGraph, batch: Batch) -> None:
        self.answer(run, batch)
