"""The values that travel along the spine. All are frozen and slotted; spans are half-open, in samples.

source ─decode→ Block ─cut→ Segment ─submit→ [waiting ─take_batch→ batch ─run→ Output] ─merge→ EmotionResult
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from overtone.errors import OvertoneError
    from overtone.system.spooled_array import SpooledArray

SAMPLE_RATE = 16_000
"""Hz. Everything after decoding is 16 kHz mono float32, the rate all emotion2vec checkpoints were trained at."""

BYTES_PER_SAMPLE = 4
"""float32."""

Granularity = Literal["utterance", "segment", "frame"]
"""How fine an answer is: one for the source; and its timeline; and every 20 ms."""

_TranscriptT = TypeVar("_TranscriptT", bound="Transcript")

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
    """Segments that run together, each padded to `padded` samples. `decode_params`: what all of them are asked for."""

    waveforms: tuple[Samples, ...]
    padded: int
    decode_params: Hashable = None

    @property
    def want_frames(self) -> bool:
        """Whether frame embeddings are kept."""
        return self.decode_params == FRAMES


FRAMES: Final = "frames"
"""The decode parameters that ask for the embedding of every frame."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class ModelOutput:
    """What some model says of one segment, and how that came about.

    `wait_s`, `run_s`: seconds in the queue, and this segment's share of its batch's run.
    `notes`: what was unusual, such as a batch that had to be halved. `device`: what it ran on.
    """

    wait_s: float = 0.0
    run_s: float = 0.0
    notes: tuple[str, ...] = ()
    device: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class EmotionOutput(ModelOutput):
    """What an emotion model says of one segment.

    `total`: sum over the segment's frames of the final embeddings, float64, shape (dim,). Sums compose:
    the mean over a whole file is the sum of totals over the sum of counts.
    `frames`: the frame embeddings, float32, shape (count, dim), only where they were asked for.
    """

    count: int
    total: npt.NDArray[np.float64]
    frames: npt.NDArray[np.float32] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class TokenOutput(ModelOutput):
    """What a recogniser heard in one segment.

    `tokens`: ids in the model's vocabulary, int32 (n,), without blanks, marks of sentence ends and tags.
    `times`: first and last millisecond of each token from the segment's start, half-open, int32 (n, 2); None where the
    model tells none. `confidences`: the model's probability of each token, float32 (n,).
    `tags`: what the model says besides words, in its own words, such as `<|zh|>`, `<|HAPPY|>`, `<|Speech|>`.
    """

    tokens: npt.NDArray[np.int32]
    times: npt.NDArray[np.int32] | None
    confidences: npt.NDArray[np.float32]
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class SpeakerEmbeddings(ModelOutput):
    """Whose voice is heard in one segment, window by window.

    `embeddings`: float32 (windows, dim). `spans`: first and last sample of each window from the segment's start,
    half-open, int32 (windows, 2).
    """

    embeddings: npt.NDArray[np.float32]
    spans: npt.NDArray[np.int32]


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
    starts: SpooledArray
    scores: SpooledArray | None
    embeddings: SpooledArray


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Result:
    """What is told of one source (or one channel of it), whatever was asked.

    `duration`: seconds of audio decoded. `backend`: what ran the model, `openvino` or `torch`.
    """

    source: str
    duration: float
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

    @property
    def ok(self) -> bool:
        """True if this input was processed."""
        return self.error is None


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class EmotionResult(Result):
    """The emotion in one source.

    `label`, `score`, `scores`: of the whole source: the head applied to the mean over all frames of all
    segments with speech. None where there is nothing to say: an error, no classes, or (`label` "silence")
    no speech at all.
    `embedding`: that mean, float32, shape (dim,).
    """

    label: str | None
    score: float | None
    scores: Mapping[str, float] | None
    segments: Sequence[SegmentResult]
    embedding: npt.NDArray[np.float32] | None = None
    frames: FrameResult | None = None
    envelope: npt.NDArray[np.float32] | None = field(default=None, repr=False)
    """Peak envelope for pictures: rows of (lowest, highest) sample, shape (n, 2), of equal stretches of the source."""

    @classmethod
    def failed(cls, error: OvertoneError, **fields: Any) -> EmotionResult:
        """The result of a source that could not be processed. fields: of `Result`."""
        return cls(label=None, score=None, scores=None, segments=(), error=error, **fields)


@dataclass(frozen=True, slots=True)
class Word:
    """One word, or one character of a script without blanks. Seconds from the source's start, half-open; None where the
    model tells no times. `confidence`: 0 to 1, the mean of its tokens' probabilities."""

    text: str
    start: float | None
    end: float | None
    confidence: float | None


@dataclass(frozen=True, slots=True)
class Emotion:
    """The emotion of one sentence. `score` and `scores` are None where a recogniser only names it."""

    label: str
    score: float | None = None
    scores: Mapping[str, float] | None = None


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence, or what was said between two pauses where nothing tells sentences apart. Seconds, half-open.

    `text`: with punctuation, where that was asked for. `speaker`: 0 for who speaks first, then 1 and so on.
    `language`: as the recogniser names it (`zh`, `en`, `yue`, `ja`, `ko`). `event`: what is heard beside speech (`BGM`,
    `Laughter`, `Applause`). `confidence`: mean of its words'. All None where nobody was asked, or there is none.
    """

    start: float
    end: float
    text: str
    words: tuple[Word, ...] = ()
    speaker: int | None = None
    emotion: Emotion | None = None
    language: str | None = None
    event: str | None = None
    confidence: float | None = None


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Transcript(Result):
    """What was said in one source, by whom and in what mood.

    `text`: all of it. `sentences`: in order of time. `language`: what most of it is in. `speakers`: how many were told
    apart; None where nobody was asked. `models`: what else was used, by role: `vad`, `punctuation`, `speakers`,
    `emotion`.
    """

    text: str
    sentences: Sequence[Sentence]
    language: str | None = None
    speakers: int | None = None
    models: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def failed(cls: type[_TranscriptT], error: OvertoneError, **fields: Any) -> _TranscriptT:
        """The result of a source that could not be processed. fields: of `Result`, and `models`."""
        return cls(text="", sentences=(), error=error, **fields)


SILENCE = "silence"
"""The label of a stretch without speech. It is never a class of a model."""
