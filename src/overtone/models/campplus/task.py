"""Voices: a window of 1.5 s every 0.75 s of a segment, and a vector for each."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from overtone.models.checkpoints import Checkpoint
from overtone.models.features.fbank import HOP, Features, fbank, frames_of
from overtone.models.task import RunGraph, Task, check_finite
from overtone.types import Batch, ModelOutput, Samples, SpeakerEmbeddings

WINDOW = 24_000
"""Samples of one window: 1.5 s, as in FunASR."""
SHIFT = 12_000
"""Samples from one window to the next: 0.75 s."""
ROWS = 16
"""Windows in one run, at most."""

_FRAMES = frames_of(WINDOW)


def windows(samples: int) -> npt.NDArray[np.int32]:
    """First and last sample, half-open, of each window of so many samples, int32 (windows, 2).

    The last one ends with the samples and is as long as the others where there are enough of them.
    """
    count = max(1, -(-(samples - WINDOW) // SHIFT) + 1) if samples else 0
    stops = np.minimum(np.arange(count, dtype=np.int32) * SHIFT + WINDOW, samples)
    return np.stack((np.maximum(stops - WINDOW, 0), stops), axis=1).astype(np.int32)


class SpeakerTask(Task):
    """Runs the graph `speaker`; answers are `SpeakerEmbeddings`."""

    graphs = convolutional = ("speaker",)
    hop = SHIFT
    min_samples = 1

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.name = checkpoint.name

    def answer(self, run: RunGraph, batch: Batch) -> list[ModelOutput]:
        """One `SpeakerEmbeddings` for each waveform.

        A segment shorter than a window is followed by silence, as in FunASR.
        """
        spans = [windows(len(waveform)) for waveform in batch.waveforms]
        features = (
            row for waveform, own in zip(batch.waveforms, spans, strict=True) for row in _features(waveform, own)
        )
        counts = [len(own) for own in spans]
        embeddings = _embeddings(run, features, sum(counts))
        check_finite(self.name, embeddings)
        parts = np.split(embeddings, np.cumsum(counts)[:-1])
        return [SpeakerEmbeddings(part, own) for part, own in zip(parts, spans, strict=True)]

    def run_worst_case(self, run: RunGraph, batch: Batch) -> None:
        """Run the batch: its cost depends on lengths alone."""
        self.answer(run, batch)


def _features(waveform: Samples, spans: npt.NDArray[np.int32]) -> Iterator[Features]:
    """Features of each window, float32 (_FRAMES, mels), with a mean of 0 over time.

    Windows overlap and their starts are whole frames apart, so frames are computed once, but for the last window's.
    """
    if len(waveform) < WINDOW:
        waveform = np.pad(waveform, (0, WINDOW - len(waveform)))
    frames = _kaldi(waveform[: spans[:-1, 1].max(initial=0)])
    for start in spans[:, 0]:
        aligned = frames[start // HOP :][:_FRAMES]
        window = aligned if start != spans[-1, 0] else _kaldi(waveform[start:])
        yield window - window.mean(axis=0)


def _kaldi(samples: Samples) -> Features:
    """FunASR takes samples of ±1 here, and not of 16 bits as its recognizers do."""
    return fbank(samples, window="povey", scale=1.0)


def _embeddings(run: RunGraph, features: Iterator[Features], count: int) -> npt.NDArray[np.float32]:
    """Embeddings of `count` windows, (count, dim). Runs take 16, 8, 4, 2 or 1 of them: five shapes, none padded."""
    embeddings: list[npt.NDArray[np.float32]] = []
    while count:
        rows = min(ROWS, 1 << (count.bit_length() - 1))
        some = np.stack([next(features) for _ in range(rows)])
        embeddings.append(np.array(run("speaker", {"features": some})["embeddings"], np.float32))
        count -= rows
    return np.concatenate(embeddings)
