"""The answers that callers get: of a source, its segments, sentences and words. All are frozen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt

from overtone.presentable import Presentable, PresentableEmotion, PresentableResult
from overtone.types import Span

if TYPE_CHECKING:
    from overtone.errors import OvertoneError
    from overtone.system.spooled_array import SpooledArray

_TranscriptT = TypeVar("_TranscriptT", bound="Transcript")

SILENCE = "silence"
"""The label of a stretch without speech. It is never a class of a model."""


@dataclass(frozen=True, slots=True)
class Timings:
    """Seconds spent on one source, stage by stage. Stages overlap, so they need not add up to `total_s`.

    Attributes
    ----------
    decode_s
        Decoding, from opening the source.
    cut_s
        Cutting into segments.
    wait_s
        The longest that a segment was queued.
    run_s
        This source's share of its batches, by audio length.
    merge_s
        Merging, up to the answer.
    total_s
        From opening the source to its answer.
    notes
        Anything unusual: a batch halved after running out of memory, for example.
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
    """One entry of the timeline.

    Attributes
    ----------
    span
        The samples that it is about.
    label
        The class with the best score; `silence` for a stretch without speech; None for a model without classes.
    score
        The probability of `label`; None where there are no scores.
    scores
        The probability of each class; None for silence, and for a model without classes.
    speech_s
        Seconds of speech in it, by which it counts in the label and scores of its source; 0 for silence.
    """

    span: Span
    label: str | None
    score: float | None
    scores: Mapping[str, float] | None
    speech_s: float = 0.0

    @property
    def start(self) -> float:
        """Start in seconds."""
        return self.span.start_s

    @property
    def end(self) -> float:
        """End in seconds; it lies after the last sample."""
        return self.span.stop_s


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class FrameResult(Presentable):
    """Frame granularity: one row per frame of speech, in order of time.

    `scores.numpy()` is an array of all of them, and so of `starts` and `embeddings`; hours of them lie in temporary
    files, and `chunks()` reads them piece by piece.

    Attributes
    ----------
    hop_s
        Seconds from one frame to the next.
    labels
        The classes, in the order of the columns of `scores`.
    starts
        First sample of each row's frame, int64 (frames,), so that gaps of silence are seen.
    scores
        Probabilities, float32 (frames, classes); None for a model without classes.
    embeddings
        Float32 (frames, dim).
    """

    hop_s: float
    labels: tuple[str, ...]
    starts: SpooledArray
    scores: SpooledArray | None
    embeddings: SpooledArray

    def _shown(self) -> dict[str, Any]:
        return {"frames": len(self.starts), "hop_s": self.hop_s, "labels": self.labels}


@dataclass(frozen=True, slots=True, eq=False, kw_only=True, repr=False)
class Result(PresentableResult):
    """The fields that every result has, of one source or one channel of it.

    Attributes
    ----------
    source
        The source's name: its path, in most cases.
    duration
        Seconds of audio decoded.
    model, precision, device
        The model, and how and where it ran.
    timings
        Seconds that each stage took.
    error
        The reason why there is no answer; None if there is one.
    backend
        The runtime of the model, `openvino` or `torch`.
    id
        The id that a list gave the source.
    channel, channels
        The channel that this is the result of, from 0, and the number of channels; None unless `channels="split"`.
    warnings
        Faults of the source that did not stop it.
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

    def _shown(self) -> dict[str, Any]:
        return {"source": self.source, "channel": self.channel, "duration": self.duration, "error": self.error}


@dataclass(frozen=True, slots=True, eq=False, kw_only=True, repr=False)
class EmotionResult(Result, PresentableEmotion):
    """The emotion in one source.

    Attributes
    ----------
    label
        The emotion of the whole source: the class with the best score; `silence` where there is no speech at all; None
        after an error, and for a model without classes.
    score
        The probability of `label`; None where there are no scores.
    scores
        The probability of each class: the mean of the segments' scores, weighted by their `speech_s`. Where no segment
        has speech, and silence was judged all the same (`keep_silence`), each counts by its length.
    shares
        The share of speaking time in segments of each label, every class among them, in the order of `scores`. They sum
        to 1, and are weighted as the scores are; None where there are no scores.
    speech_s
        Seconds of speech.
    pooled
        The head applied to the mean over all frames, as FunASR judges a whole file: of one segment the same as `label`,
        `score` and `scores`, of several the emotion of a mean frame. None where there are no scores.
    segments
        The timeline, in order.
    embedding
        The mean of all frames with speech, float32 (dim,); None where there are none.
    frames
        The frames, with `granularity="frame"`.
    envelope
        Peaks for plots, if they were asked for: rows of (lowest, highest) sample, float32 (n, 2), of equal stretches of
        the source.
    """

    label: str | None
    score: float | None
    scores: Mapping[str, float] | None
    segments: Sequence[SegmentResult]
    shares: Mapping[str, float] | None = None
    speech_s: float = 0.0
    pooled: Emotion | None = None
    embedding: npt.NDArray[np.float32] | None = None
    frames: FrameResult | None = None
    envelope: npt.NDArray[np.float32] | None = field(default=None, repr=False)

    @classmethod
    def failed(cls, error: OvertoneError, **fields: Any) -> EmotionResult:
        """The result of a source that could not be processed. fields: those of `Result`."""
        return cls(label=None, score=None, scores=None, segments=(), error=error, **fields)

    def _shown(self) -> dict[str, Any]:
        return {**Result._shown(self), "label": self.label, "score": self.score, "segments": len(self.segments) or None}


@dataclass(frozen=True, slots=True)
class Word:
    """One word, or one character of a script without blanks.

    Attributes
    ----------
    text
        As the recognizer writes it.
    start, end
        Seconds from the source's start, half-open; None where the model gives no times.
    confidence
        0 to 1, the mean of its tokens' probabilities.
    speaker
        The speaker whose voice is heard in it, as `Sentence.speaker` has it; None where speakers were not asked for.
    """

    text: str
    start: float | None
    end: float | None
    confidence: float | None
    speaker: int | None = None


@dataclass(frozen=True, slots=True)
class Emotion:
    """The emotion of one sentence, or of a mean frame.

    Attributes
    ----------
    label
        Its name.
    score, scores
        The probability of `label`, and of each class; None where a recognizer only names it.
    """

    label: str
    score: float | None = None
    scores: Mapping[str, float] | None = None


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence: the words up to a mark that ends one, a long pause or another voice.

    Attributes
    ----------
    start, end
        Seconds from the source's start, half-open: from its first spoken word to its last.
    text
        With punctuation, where that was asked for.
    words
        Its words, in order.
    speaker
        The speaker of most of it, by time: 0 for the first heard, then 1 and so on; None where speakers were not asked
        for.
    emotion
        Its emotion; None where no model gives one.
    language
        `zh`, `en`, `yue`, `ja` or `ko`, as the recognizer names it; None where it does not.
    event
        A sound beside speech (`BGM`, `Laughter`, `Applause`); None where there is none.
    confidence
        0 to 1, the mean of its words'.
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


@dataclass(frozen=True, slots=True, eq=False, kw_only=True, repr=False)
class Transcript(Result):
    """The words in one source, with their speakers and emotions.

    Attributes
    ----------
    text
        All of the words; empty after an error.
    sentences
        In order of time.
    language
        The language of most sentences.
    speakers
        The number of speakers found; None where speakers were not asked for.
    models
        Names of the other models that were used, by role: `vad`, `punctuation`, `speakers`, `emotion`.
    """

    text: str
    sentences: Sequence[Sentence]
    language: str | None = None
    speakers: int | None = None
    models: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def failed(cls: type[_TranscriptT], error: OvertoneError, **fields: Any) -> _TranscriptT:
        """The result of a source that could not be processed. fields: those of `Result`, and `models`."""
        return cls(text="", sentences=(), error=error, **fields)

    def _shown(self) -> dict[str, Any]:
        return {
            **Result._shown(self),
            "text": self.text or None,
            "sentences": len(self.sentences) or None,
            "speakers": self.speakers,
        }
