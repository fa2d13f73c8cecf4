"""Collecting what every model says of a source's segments, in whatever order it comes."""

from __future__ import annotations

import threading
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from overtone.merging.sentence_emotion import SentenceEmotions
from overtone.merging.speakers.diarization import seconds
from overtone.merging.words import RecognizedSegment
from overtone.types import EmotionOutput, Segment, Span, SpeakerEmbeddings, TokenOutput


@dataclass(frozen=True, slots=True, eq=False)
class SegmentOutputs:
    """What was said of a source's segments, in order of time.

    heard: what was recognised. windows: of voices, first and last second, float64 (windows, 2), and `embeddings`,
    float32 (windows, dim), both None where nobody was asked. moods: likewise.
    """

    heard: list[RecognizedSegment]
    windows: npt.NDArray[np.float64] | None
    embeddings: npt.NDArray[np.float32] | None
    moods: SentenceEmotions | None


class TranscriptAggregator:
    """See `Aggregator`. speakers: whether voices are asked for. moods: where emotions are collected."""

    def __init__(self, *, speakers: bool = False, moods: SentenceEmotions | None = None) -> None:
        self._speakers, self._moods = speakers, moods
        self._lock = threading.Lock()
        self._heard: dict[int, RecognizedSegment] = {}
        self._voices: dict[int, tuple[Span, SpeakerEmbeddings]] = {}

    def add_silence(self, segment: Segment) -> None:
        """See `Aggregator`."""
        with self._lock:
            if self._moods is not None:
                self._moods.add_silence(segment.index)

    def add(self, index: int, span: Span, answer: TokenOutput | SpeakerEmbeddings | EmotionOutput) -> None:
        """See `Aggregator`."""
        with self._lock:
            if isinstance(answer, TokenOutput):
                if len(answer.tokens):
                    self._heard[index] = RecognizedSegment(span, answer)
            elif isinstance(answer, SpeakerEmbeddings):
                self._voices[index] = span, answer
            elif self._moods is not None:
                self._moods.add(index, span, answer)

    def finish(self) -> SegmentOutputs:
        """See `Aggregator`."""
        with self._lock:
            heard = [self._heard[index] for index in sorted(self._heard)]
            if not self._speakers:
                return SegmentOutputs(heard, None, None, self._moods)
            voices = [self._voices[index] for index in sorted(self._voices)]
            self._voices.clear()
            times = [seconds(span.start, answer.spans) for span, answer in voices]
            embeddings = [answer.embeddings for _, answer in voices]
            windows = np.concatenate(times) if times else np.zeros((0, 2))
            found = np.concatenate(embeddings) if embeddings else np.zeros((0, 1), np.float32)
            return SegmentOutputs(heard, windows, found, self._moods)
