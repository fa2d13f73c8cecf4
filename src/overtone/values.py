"""The values that travel along the spine. All are frozen and slotted; spans are half-open, in samples.

source ─decode→ Block ─cut→ Segment ─submit→ [waiting ─take_batch→ batch ─run→ Output] ─merge→ EmotionResult
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from overtone.errors import OvertoneError
    from overtone.spool import FrameSpool

SAMPLE_RATE = 16_000
"""Hz. Everything after decoding is 16 kHz mono float32, the rate all emotion2vec checkpoints were trained at."""

BYTES_PER_SAMPLE = 4
"""float32."""

Granularity = Literal["utterance", "segment", "frame"]
"""How fine an answer is: one for the source; and its timeline; and every 20 ms."""

Samples = npt.NDArray[np.float32]
"""Waveform samples, float32, shape (samples,) unless said otherwise, full scale ±1."""


@dataclass(frozen=True, slots=True)
class Span:
    """Half-open range of samples, `start <= i < stop`, at `SAMPLE_RATE`."""

    start: int
    stop: int

    def __post_init__(self) -> None:
        if not 0 <= self.start <= self.stop:
            raise ValueError(f"a span needs 0 <= start <= stop, not {self.start}..{self.stop}")

    def __len__(self) -> int:
        return self.stop - self.start

    @property
    def start_s(self) -> float:
        """Start in seconds."""
        return self.start / SAMPLE_RATE

    @property
    def stop_s(self) -> float:
        """End in seconds."""
        return self.stop / SAMPLE_RATE


@dataclass(frozen=True, slots=True, eq=False)
class Audio:
    """Audio in memory, never without its rate. `samples`: shape (samples,) or (channels, samples), float."""

    samples: npt.NDArray[np.floating]
    rate: int
    name: str = "array"


@dataclass(frozen=True, slots=True, eq=False)
class Segment:
    """A stretch of one source's audio that goes through the model as a whole.

    `silent` segments are part of the timeline but carry no samples and never reach the engine.
    """

    index: int
    span: Span
    samples: Samples
    silent: bool = False

    @property
    def duration_s(self) -> float:
        """Seconds."""
        return len(self.span) / SAMPLE_RATE


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Segments that run together, each padded to `padded` samples. `want_frames`: keep frame embeddings."""

    waveforms: tuple[Samples, ...]
    padded: int
    want_frames: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Output:
    """What the model says of one segment.

    `total`: sum over the segment's frames of the final embeddings, float64, shape (dim,). Sums compose:
    the mean over a whole file is the sum of totals over the sum of counts.
    `frames`: the frame embeddings, float32, shape (count, dim), only where they were asked for.
    `wait_s`, `run_s`: seconds in the queue, and this segment's share of its batch's run.
    `notes`: what was unusual, such as a batch that had to be halved. `device`: what it ran on.
    """

    count: int
    total: npt.NDArray[np.float64]
    frames: npt.NDArray[np.float32] | None = None
    wait_s: float = 0.0
    run_s: float = 0.0
    notes: tuple[str, ...] = ()
    device: str = ""


@dataclass(frozen=True, slots=True)
class Timings:
    """Seconds spent on one source, stage by stage. Stages overlap, so they need not add up to `total_s`.

    `decode_s` begins with opening the source, and `merge_s` ends with its answer.
    `wait_s` is the longest that a segment was queued. `run_s` is this source's share of its batches, by audio
    length. `notes` says what was unusual: a batch halved after running out of memory, for example.
    """

    decode_s: float = 0.0
    cut_s: float = 0.0
    wait_s: float = 0.0
    run_s: float = 0.0
    merge_s: float = 0.0
    total_s: float = 0.0
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SegmentResult:
    """One entry of the timeline. `scores` is None for silence, and for a model without classes."""

    span: Span
    label: str | None
    score: float | None
    scores: Mapping[str, float] | None


@dataclass(frozen=True, slots=True, eq=False)
class FrameResult:
    """Frame granularity: one row per `hop_s` seconds of the speech in `spans`, in order.

    `scores`: rows of class scores, (frames, classes); None for a model without classes.
    `embeddings`: rows of embeddings, (frames, dim).
    `starts`: first sample of each row's frame, (frames,), so that gaps of silence are seen.
    """

    hop_s: float
    labels: tuple[str, ...]
    starts: FrameSpool
    scores: FrameSpool | None
    embeddings: FrameSpool


@dataclass(frozen=True, slots=True, eq=False)
class EmotionResult:
    """The answer for one source (or one channel of it).

    `label`, `score`, `scores`: of the whole source: the head applied to the mean over all frames of all
    segments with speech. None where there is nothing to say: an error, no classes, or (`label` "silence")
    no speech at all.
    `embedding`: that mean, float32, shape (dim,).
    `duration`: seconds of audio decoded. `backend`: what ran the model, `openvino` or `torch`.
    """

    source: str
    duration: float
    label: str | None
    score: float | None
    scores: Mapping[str, float] | None
    segments: Sequence[SegmentResult]
    model: str
    precision: str
    device: str
    timings: Timings
    error: OvertoneError | None = None
    backend: str | None = None
    id: str | None = None
    channel: int | None = None
    channels: int | None = None
    warnings: tuple[str, ...] = ()
    embedding: npt.NDArray[np.float32] | None = None
    frames: FrameResult | None = None
    envelope: npt.NDArray[np.float32] | None = field(default=None, repr=False)
    """Peak envelope for pictures: rows of (lowest, highest) sample, shape (n, 2), of equal stretches of the source."""

    @property
    def ok(self) -> bool:
        """True if this input was processed."""
        return self.error is None


SILENCE = "silence"
"""The label of a stretch without speech. It is never a class of a model."""
