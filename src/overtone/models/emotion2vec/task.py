"""Frame embeddings of speech, or their sum: features of each waveform, then the encoder."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from overtone.batching.cost_model import Shape
from overtone.models.checkpoints import Checkpoint
from overtone.models.classifier import read_classifier
from overtone.models.emotion2vec.config import Architecture
from overtone.models.emotion2vec.feature_tape import TOKEN_STEP, FeatureTape
from overtone.models.task import Array, GraphRunner, Ragged, RunGraph, Task
from overtone.types import SAMPLE_RATE, Batch, EmotionOutput, Samples


class EmotionTask(Task):
    """Runs the graphs `features` and `encoder`; answers are `EmotionOutput`s."""

    graphs = ("features", "encoder")
    blockwise = ("encoder",)
    convolutional = ("features",)
    warm_up = (Shape(1, 0.2125), Shape(1, 2.0125))
    """10 and 100 frames. OpenVINO packs float32 weights one way for few or many tokens and another way for some
    hundred; both are made at the start, so that resident memory does not grow later."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self._checkpoint = checkpoint
        self.architecture = Architecture.from_config(checkpoint.config, checkpoint.name)
        self.hop, self.min_samples = self.architecture.hop_samples, self.architecture.receptive_samples
        self.dim = self.architecture.embed_dim

    def read_weights(self, folder: Path | None) -> None:
        """Read the classifier."""
        if folder is None:
            from overtone.models.emotion2vec.loading import read_published_classifier

            self.head = read_published_classifier(self._checkpoint)
        else:
            self.head = read_classifier(folder, self._checkpoint, self.dim)

    def row_s(self, runtime: str) -> float:
        """Seconds of the extra tokens, and on OpenVINO of what lengths are rounded up by."""
        rounding = TOKEN_STEP if runtime == "openvino" else 0
        return (self.architecture.num_extra_tokens + rounding) * self.hop / SAMPLE_RATE

    def runner(self, graph: str, compiled: GraphRunner) -> GraphRunner:
        """The feature extractor takes one stretch at a time."""
        return FeatureTape(self.architecture, compiled) if graph == "features" else compiled

    def answer(self, run: RunGraph, batch: Batch) -> list[EmotionOutput]:
        """One `EmotionOutput` for each waveform, in order, which is normalized over its own length."""
        counts = np.array([self.architecture.frames_of(len(waveform)) for waveform in batch.waveforms])
        found = self._encoded(run, batch, counts)
        if "totals" in found:  # summed where they are, so that frames need not leave the device
            totals = np.array(found["totals"], np.float64)
        else:
            rows = zip(found["embeddings"], counts, strict=True)
            totals = np.stack([row[:count].sum(axis=0, dtype=np.float64) for row, count in rows])
        # Copies: what a graph gave is overwritten by its next run.
        frames: Sequence[npt.NDArray[np.float32] | None] = [None] * len(counts)
        if batch.want_frames:
            embeddings = np.asarray(found["embeddings"])
            frames = [row[:count].copy() for row, count in zip(embeddings, counts, strict=True)]
        return [EmotionOutput(int(n), total, kept) for n, total, kept in zip(counts, totals, frames, strict=True)]

    @staticmethod
    def _encoded(run: RunGraph, batch: Batch, counts: npt.NDArray[np.int64]) -> Mapping[str, Array]:
        features = run("features", {"waveforms": Ragged(batch.waveforms, batch.padded)})["features"]
        return run("encoder", {"features": features, "counts": counts})

    def run_worst_case(self, run: RunGraph, batch: Batch) -> None:
        """Run the batch: its cost depends on lengths alone."""
        self.answer(run, batch)

    def calibration_inputs(
        self, run: RunGraph, windows: Sequence[Samples], most: int, compiled: Callable[[str], GraphRunner]
    ) -> Mapping[str, Sequence[Mapping[str, Array]]]:
        """Stretches evenly from all windows, and the features of each window."""
        tape = compiled("features")
        assert isinstance(tape, FeatureTape)
        windows = [window for window in windows[:most] if len(window) >= self.min_samples]
        stretches = [stretch for window in windows for stretch in tape.stretches(window)]
        chosen = stretches[:: max(1, len(stretches) // most)][:most]
        features = [tape.features([window]) for window in windows]
        return {
            "features": [{"waveforms": stretch} for stretch in chosen],
            "encoder": [{"features": made, "counts": np.array([made.shape[1]])} for made in features],
        }
