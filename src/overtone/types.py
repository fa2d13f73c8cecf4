"""The values that travel along the spine. All are frozen and slotted; spans are half-open, in samples.

source ─decode→ Samples ─cut→ Segment ─submit→ [queue ─take_batch→ Batch ─run→ ModelOutput] ─merge→ Result
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, Protocol

import numpy as np
import numpy.typing as npt

SAMPLE_RATE = 16_000
"""Hz. Everything after decoding is 16 kHz mono float32, the rate all emotion2vec checkpoints were trained at."""

BYTES_PER_SAMPLE = 4
"""float32."""

Granularity = Literal["utterance", "segment", "frame"]
"""Detail of an answer: one for the source; and its timeline; and every 20 ms."""

Samples = npt.NDArray[np.float32]
"""Waveform samples, float32, shape (samples,) unless said otherwise, full scale ±1."""


@dataclass(frozen=True, slots=True)
class Span:
    """Half-open range of samples, `start <= i < stop`, at 16 kHz.

    Raises ValueError unless `0 <= start <= stop`.

    Examples
    --------
    >>> from overtone import Span
    >>> span = Span(8_000, 24_000)
    >>> len(span), span.start_s, span.stop_s
    (16000, 0.5, 1.5)
    """

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


Layout = Literal["channels_first", "channels_last"]
"""Axes of an array with several channels: (channels, samples), or (samples, channels)."""


class SupportsArray(Protocol):
    """An array of another library that NumPy can take, such as a `torch.Tensor` on the CPU."""

    def __array__(self) -> npt.NDArray[Any]: ...


@dataclass(frozen=True, slots=True, eq=False)
class Audio:
    """Audio in memory, never without its rate.

    Attributes
    ----------
    samples
        A NumPy array, or one that NumPy can take, such as a `torch.Tensor` on the CPU. Floats have full scale ±1 and
        are taken as they are; int8, int16, int32 and uint8 are PCM, scaled by the range of their type.
    rate
        Hz.
    name
        The `source` of its result.
    layout
        Axes of an array with two dimensions: `channels_first` is (channels, samples), as torchaudio gives it;
        `channels_last` is (samples, channels), as soundfile and SciPy do.

    Examples
    --------
    >>> import numpy as np
    >>> from overtone import Audio
    >>> stereo = Audio(np.zeros((2, 48_000), np.float32), rate=48_000, name="call")
    >>> pcm = Audio(np.zeros((48_000, 2), np.int16), rate=48_000, layout="channels_last")
    """

    samples: npt.NDArray[Any] | SupportsArray
    rate: int
    name: str = "array"
    layout: Layout = "channels_first"


@dataclass(frozen=True, slots=True, eq=False)
class Segment:
    """A stretch of one source's audio that goes through the model as a whole.

    `silent` segments are part of the timeline but carry no samples and never reach the engine. `speech`: samples of
    speech in it, at most those of its span; windows that overlap each count their own.
    """

    index: int
    span: Span
    samples: Samples
    silent: bool = False
    speech: int = 0

    @property
    def duration_s(self) -> float:
        """Seconds."""
        return len(self.span) / SAMPLE_RATE

    @property
    def speech_s(self) -> float:
        """Seconds of speech in it."""
        return self.speech / SAMPLE_RATE

    def without_samples(self) -> Segment:
        """The same segment as an aggregator gets it: its samples are not held until it is answered."""
        return replace(self, samples=np.zeros(0, np.float32))


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Segments that run together, each padded to `padded` samples, with the decode parameters of all of them."""

    waveforms: tuple[Samples, ...]
    padded: int
    decode_params: Hashable = None

    @property
    def want_frames(self) -> bool:
        """True if frame embeddings are kept."""
        return self.decode_params == FRAMES


FRAMES: Final = "frames"
"""The decode parameters that ask for the embedding of every frame."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class ModelOutput:
    """The output of a model for one segment, and how that came about.

    `wait_s`, `run_s`: seconds in the queue, and this segment's share of its batch's run.
    `notes`: anything unusual, such as a batch that had to be halved. `device`: the one it ran on.
    """

    wait_s: float = 0.0
    run_s: float = 0.0
    notes: tuple[str, ...] = ()
    device: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class EmotionOutput(ModelOutput):
    """The output of an emotion model for one segment.

    `total`: sum over the segment's frames of the final embeddings, float64, shape (dim,). Sums compose:
    the mean over a whole file is the sum of totals over the sum of counts.
    `frames`: the frame embeddings, float32, shape (count, dim), only where they were asked for.
    """

    count: int
    total: npt.NDArray[np.float64]
    frames: npt.NDArray[np.float32] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class TokenOutput(ModelOutput):
    """The output of a recognizer for one segment.

    `tokens`: ids in the model's vocabulary, int32 (n,), without blanks, marks of sentence ends and tags.
    `times`: first and last millisecond of each token from the segment's start, half-open, int32 (n, 2); None where the
    model gives none. `confidences`: the model's probability of each token, float32 (n,).
    `tags`: the model's tags besides words, such as `<|zh|>`, `<|HAPPY|>`, `<|Speech|>`.
    """

    tokens: npt.NDArray[np.int32]
    times: npt.NDArray[np.int32] | None
    confidences: npt.NDArray[np.float32]
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class SpeakerEmbeddings(ModelOutput):
    """The voices of one segment, window by window.

    `embeddings`: float32 (windows, dim). `spans`: first and last sample of each window from the segment's start,
    half-open, int32 (windows, 2).
    """

    embeddings: npt.NDArray[np.float32]
    spans: npt.NDArray[np.int32]
