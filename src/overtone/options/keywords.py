"""Options as keyword arguments, typed: what editors complete, and type checkers look at.

Their names and types are those of the options, which are checked when they are made.
"""

from __future__ import annotations

import os
from typing import Literal, TypedDict

from overtone.options.emotion import BackendName, Precision, SegmentMode
from overtone.options.transcription import Language
from overtone.types import Granularity


class EmotionCallKeywords(TypedDict, total=False):
    """Options that a call of an `EmotionRecognizer` may have for itself."""

    segment: SegmentMode
    vad: str
    max_segment: float
    window: float
    hop: float | None
    keep_silence: bool
    channels: Literal["mix", "split"]
    audio_track: int | None
    granularity: Granularity
    labels: Literal["english", "published"]


class EmotionKeywords(EmotionCallKeywords, total=False):
    """Options of an `EmotionRecognizer`, and `profile`, a file of them that `overtone tune` wrote."""

    hub: Literal["hf", "ms"]
    memory: str | int | None
    device: str
    precision: Precision | None
    backend: BackendName
    threads: int | None
    decoders: int | None
    decode: Literal["processes", "threads"]
    context: Literal["segment", "full"]
    batch_size_s: float | None
    batch_size_threshold_s: float | None
    ignore_unknown_tensors: bool
    offload: bool
    profile: str | os.PathLike[str] | None


class TranscribeCallKeywords(TypedDict, total=False):
    """Options that a call of a `Transcriber` may have for itself."""

    vad: str
    max_segment: float
    channels: Literal["mix", "split"]
    audio_track: int | None
    language: Language
    itn: bool
    hotwords: str
    num_speakers: int | None
    sentence_pause_s: float


class TranscribeKeywords(TranscribeCallKeywords, total=False):
    """Options of a `Transcriber`, and `profile`, a file of them that `overtone tune` wrote."""

    hub: Literal["hf", "ms"]
    memory: str | int | None
    device: str
    precision: Precision | None
    backend: BackendName
    threads: int | None
    decoders: int | None
    decode: Literal["processes", "threads"]
    segment: SegmentMode
    batch_size_s: float | None
    batch_size_threshold_s: float | None
    ignore_unknown_tensors: bool
    vad: str
    punctuation: str
    speakers: bool
    speaker_model: str
    emotion: str | None
    vad_device: str | None
    punctuation_device: str | None
    speaker_device: str | None
    emotion_device: str | None
    merge_length_s: float | None
    max_end_silence_ms: int | None
    profile: str | os.PathLike[str] | None
