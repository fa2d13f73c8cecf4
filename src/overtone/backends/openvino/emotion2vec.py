"""emotion2vec through OpenVINO, on the CPU."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from overtone.backends import cost_probe
from overtone.backends.base import Preempted
from overtone.backends.openvino.blockwise_encoder import BlockwiseEncoder
from overtone.backends.openvino.host_memory import OpenvinoMemoryMixin
from overtone.backends.openvino.runtime import CompiledModel, check_precision, version
from overtone.batching.cost_model import CostModel
from overtone.models.emotion2vec.config import Architecture
from overtone.system.machine import processor_name, trim_heap
from overtone.types import SAMPLE_RATE, Batch, EmotionOutput, Samples

_EPSILON = 1e-5
"""What the published code adds to a waveform's variance (PyTorch's layer_norm)."""


_PACKED_FOR = (10, 100)
"""Frames. OpenVINO packs float32 weights one way for few or many tokens and another way for some hundred; both are made
at the start, so that what is resident does not grow later."""

_TOKEN_STEP = 20
"""Tokens (0.4 s). A batch is padded to its longest waveform and little more, not to the length it is charged as: matrix
products go by blocks of rows, and one that is hardly used costs as much as a full one. With steps of 4 tokens a
thousand clips of random length met so many shapes that memory grew by a quarter; with these it stays."""

_TIDY_S = 30.0
"""Seconds of audio after which free heap is given back. Batches of many shapes leave it in pieces, which add up: over
an hour `tiny` peaked at 241 MiB without, and at 225 with, in the same time."""


class OpenvinoBackend(OpenvinoMemoryMixin):
    """See `Backend`.

    folder: of a converted model, with `features.xml` and `encoder.xml`. precision: what it was converted to, or `bf16`
    for a model in float32. threads: OpenVINO's own. whole: for files of any length at once, with attention in blocks.
    Raises DeviceError for bf16 on a processor that would only emulate it.
    """

    def __init__(
        self, folder: Path, architecture: Architecture, *, precision: str, threads: int, whole: bool = False
    ) -> None:
        check_precision(precision)
        self.precision, self.version = precision, version()
        self._architecture = architecture
        self._features = CompiledModel(folder / "features.xml", threads=threads, precision=precision)
        self._chunk = architecture.frames_of(self._features.samples)
        self._features.warm_up({"waveforms": np.zeros((1, self._features.samples), np.float32)})
        self._whole = whole
        self._since_trim_s = 0.0
        self._interrupted = False
        encoder = BlockwiseEncoder if whole else CompiledModel
        self._encoder = encoder(folder / "encoder.xml", threads=threads, precision=precision)
        for frames in _PACKED_FOR:
            features = np.zeros((1, frames, architecture.embed_dim), np.float32)
            self._encoder.warm_up({"features": features, "counts": np.array([frames])})

    def run(self, batch: Batch) -> list[EmotionOutput]:
        """See Backend. The waveforms are normalised over their own lengths here."""
        self._interrupted = False
        return self.guard(lambda: self._run(batch))

    def preempt(self) -> None:
        """See Backend. Heard between two chunks of the feature extractor, and not in the encoder, which is one run.

        OpenVINO can cancel a run, but a model of changing shapes is broken by it (2026.4: other shapes fail after).
        """
        self._interrupted = True

    def _run(self, batch: Batch) -> list[EmotionOutput]:
        a = self._architecture
        counts = [a.frames_of(len(waveform)) for waveform in batch.waveforms]
        features = self.features(batch.waveforms, frames_for(max(counts), a.num_extra_tokens))
        if self._interrupted:
            raise Preempted
        embeddings = self._encoder.infer({"features": features, "counts": np.array(counts)})
        outputs = [_output(rows[:count], batch) for rows, count in zip(embeddings, counts, strict=True)]
        self._tidy(sum(len(waveform) for waveform in batch.waveforms) / SAMPLE_RATE)
        return outputs

    def _tidy(self, audio_s: float) -> None:
        self._since_trim_s += audio_s
        if self._since_trim_s >= _TIDY_S:
            self._since_trim_s = 0.0
            trim_heap()

    def features(self, waveforms: Sequence[Samples], frames: int | None = None) -> npt.NDArray[np.float32]:
        """Local features of waveforms, (batch, frames, dim), zeros past each one's own; `frames` None: of the
        longest."""
        a = self._architecture
        tape, starts = self._tape(waveforms)
        made = np.empty((a.frames_of(len(tape)), a.embed_dim), np.float32)
        for chunk, stretch in enumerate(self._stretches(tape)):
            if self._interrupted:
                raise Preempted
            made[chunk * self._chunk : (chunk + 1) * self._chunk] = self._features.infer({"waveforms": stretch})[0]
        counts = [a.frames_of(len(waveform)) for waveform in waveforms]
        features = np.zeros((len(counts), frames or max(counts), a.embed_dim), np.float32)
        for row, start, count in zip(features, starts, counts, strict=True):
            row[:count] = made[start : start + count]
        return features

    def stretches(self, waveform: Samples) -> list[npt.NDArray[np.float32]]:
        """What the feature extractor is given of one waveform, each (1, samples)."""
        return list(self._stretches(self._tape([waveform])[0]))

    def _tape(self, waveforms: Sequence[Samples]) -> tuple[npt.NDArray[np.float32], list[int]]:
        """All waveforms, normalised, one behind the other, and the frame at which each starts.

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
            normal = _normalised(waveform) if a.normalize else waveform
            begin, used = start * a.hop_samples, a.samples_for(a.frames_of(len(waveform)))
            tape[begin : begin + used] = normal[:used]
        return tape, starts

    def _stretches(self, tape: npt.NDArray[np.float32]) -> Iterator[npt.NDArray[np.float32]]:
        a = self._architecture
        step = self._chunk * a.hop_samples
        for begin in range(0, len(tape) - a.samples_for(self._chunk) + 1, step):
            yield tape[None, begin : begin + a.samples_for(self._chunk)]

    @property
    def device_name(self) -> str:
        """The processor's own name."""
        return processor_name()

    def warm_up(self) -> None:
        """Nothing is left to do: weights were packed when it was made."""

    def cost(self, longest_s: float) -> CostModel:
        """See Backend. Runs noise of a few shapes; the bias of attention grows with the square of the length."""
        a = self._architecture
        row_s = (a.num_extra_tokens + _TOKEN_STEP) * a.hop_samples / SAMPLE_RATE
        return cost_probe.measure(self._probe, longest_s, row_s=row_s, quadratic=not self._whole)

    def _probe(self, batch: Batch) -> int:
        self.trim()
        return cost_probe.process_peak(self.run, batch)

    def trim(self) -> None:
        """See Backend."""
        self._features.trim()
        self._encoder.trim()

    def close(self) -> None:
        """See Backend."""
        del self._features, self._encoder
        gc.collect()
        trim_heap()


def frames_for(longest: int, extra: int) -> int:
    """Frames that a batch whose longest waveform has `longest` is padded to: a whole number of `_TOKEN_STEP`s of
    tokens."""
    tokens = -(-(longest + extra) // _TOKEN_STEP) * _TOKEN_STEP
    return tokens - extra


def _normalised(waveform: Samples) -> Samples:
    """Zero mean and unit variance over the waveform's own length."""
    wide = waveform.astype(np.float64)
    wide -= wide.mean()
    normal: Samples = (wide / np.sqrt(np.square(wide).mean() + _EPSILON)).astype(np.float32)
    return normal


def _output(rows: npt.NDArray[np.float32], batch: Batch) -> EmotionOutput:
    # A copy: what the model gave is overwritten by its next run.
    return EmotionOutput(len(rows), rows.sum(axis=0, dtype=np.float64), rows.copy() if batch.want_frames else None)
