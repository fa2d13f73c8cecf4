"""Local features of a batch through a feature extractor that takes one short stretch at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from overtone.models.emotion2vec.config import Architecture
from overtone.models.task import Array, GraphRunner, Preempted
from overtone.types import Samples

_EPSILON = 1e-5
"""Added by the published code to a waveform's variance (PyTorch's layer_norm)."""

TOKEN_STEP = 20
"""Tokens (0.4 s). A batch is padded to its longest waveform and little more, not to the length it is charged as. Finer
steps meet more shapes, for each of which OpenVINO keeps kernels: with steps of 8 a folder of short clips took 0.95 of
the time in float32 and 0.97 in bf16, and an hour peaked 1.12 instead of less than 1.1 times as high as ten minutes."""


class FeatureTape:
    """Runs the converted graph `features` over whole batches: all waveforms one behind the other, cut into stretches of
    the graph's one shape.

    Between two stretches a batch can be preempted; in the encoder, which is one run, it cannot. OpenVINO can cancel a
    run, but a model of changing shapes is broken by it (2026.4: other shapes fail after).
    """

    def __init__(self, architecture: Architecture, stretch: GraphRunner) -> None:
        self._architecture, self._stretch = architecture, stretch
        self._chunk = architecture.frames_of(stretch.samples)
        self._preempted = False

    @property
    def samples(self) -> int:
        """Samples of a stretch."""
        return self._stretch.samples

    def run(self, inputs: Mapping[str, Any]) -> Mapping[str, Array]:
        """`features` (batch, frames, dim), float32, of `waveforms`, a `Ragged`; frames are padded for the encoder."""
        self._preempted = False
        waveforms = inputs["waveforms"].rows
        longest = max(self._architecture.frames_of(len(waveform)) for waveform in waveforms)
        features = self.features(waveforms, frames_for(longest, self._architecture.num_extra_tokens))
        if self._preempted:
            raise Preempted
        return {"features": features}

    def preempt(self) -> None:
        """Have `run` end before the next stretch."""
        self._preempted = True

    def release(self) -> None:
        """Give back what runs left allocated."""
        self._stretch.release()

    def release_file_pages(self) -> None:
        """Give back the pages of the weights' file."""
        self._stretch.release_file_pages()

    def features(self, waveforms: Sequence[Samples], frames: int | None = None) -> npt.NDArray[np.float32]:
        """Local features of waveforms, (batch, frames, dim), zeros past each one's own; `frames` None: of the
        longest."""
        a = self._architecture
        tape, starts = self._tape(waveforms)
        made = np.empty((a.frames_of(len(tape)), a.embed_dim), np.float32)
        for chunk, stretch in enumerate(self._stretches(tape)):
            if self._preempted:
                raise Preempted
            found = self._stretch.run({"waveforms": stretch})["features"]
            made[chunk * self._chunk : (chunk + 1) * self._chunk] = found[0]
        counts = [a.frames_of(len(waveform)) for waveform in waveforms]
        features = np.zeros((len(counts), frames or max(counts), a.embed_dim), np.float32)
        for row, start, count in zip(features, starts, counts, strict=True):
            row[:count] = made[start : start + count]
        return features

    def stretches(self, waveform: Samples) -> list[npt.NDArray[np.float32]]:
        """Inputs of the feature extractor for one waveform, each (1, samples)."""
        return list(self._stretches(self._tape([waveform])[0]))

    def _tape(self, waveforms: Sequence[Samples]) -> tuple[npt.NDArray[np.float32], list[int]]:
        """All waveforms, normalized, one behind the other, and the frame at which each starts.

        So chunks of one shape cover a whole batch, and only the last one is part empty. A frame sees 25 ms and nothing
        else: those that would reach over a waveform's end are left between it and the next.
        """
        a = self._architecture
        between = -(-(a.receptive_samples - a.hop_samples) // a.hop_samples)
        starts, end = [], 0
        for waveform in waveforms:
            starts.append(end)
            end += a.frames_of(len(waveform)) + between
        chunks = -(-(end - between) // self._chunk)
        tape = np.zeros(a.samples_for(chunks * self._chunk), np.float32)
        for waveform, start in zip(waveforms, starts, strict=True):
            normal = _normalized(waveform) if a.normalize else waveform
            begin, used = start * a.hop_samples, a.samples_for(a.frames_of(len(waveform)))
            tape[begin : begin + used] = normal[:used]
        return tape, starts

    def _stretches(self, tape: npt.NDArray[np.float32]) -> Iterator[npt.NDArray[np.float32]]:
        a = self._architecture
        step = self._chunk * a.hop_samples
        for begin in range(0, len(tape) - a.samples_for(self._chunk) + 1, step):
            yield tape[None, begin : begin + a.samples_for(self._chunk)]


def frames_for(longest: int, extra: int) -> int:
    """Frames that a batch whose longest waveform has `longest` is padded to: a whole number of `TOKEN_STEP`s of
    tokens."""
    tokens = -(-(longest + extra) // TOKEN_STEP) * TOKEN_STEP
    return tokens - extra


def _normalized(waveform: Samples) -> Samples:
    """Zero mean and unit variance over the waveform's own length."""
    wide = waveform.astype(np.float64)
    wide -= wide.mean()
    normal: Samples = (wide / np.sqrt(np.square(wide).mean() + _EPSILON)).astype(np.float32)
    return normal
