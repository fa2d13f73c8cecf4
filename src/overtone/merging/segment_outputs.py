"""Collects the outputs of every model for a source's segments, which come in any order."""

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
    """The outputs of every model for one source, in order of time.

    recognized: the segments with words. windows: of voices, first and last second, float64 (windows, 2), and
    `embeddings`, float32 (windows, dim), both None without a speaker model. emotions: None without an emotion model.
    """

    recognized: list[RecognizedSegment]
    windows: npt.NDArray[np.float64] | None
    embeddings: npt.NDArray[np.float32] | None
    emotions: SentenceEmotions | None


class TranscriptAggregator:
    """Collects words, voices and emotions of one source. Thread-safe.

    speakers: collect voices. emotions: collects the frames of an emotion model.
    """

    def __init__(self, *, speakers: bool = False, emotions: SentenceEmotions | None = None) -> None:
        self._speakers, self._emotions = speakers, emotions
        self._lock = threading.Lock()
        self._recognized: dict[int, RecognizedSegment] = {}
        self._voices: dict[int, tuple[Span, SpeakerEmbeddings]] = {}

    def add_silence(self, segment: Segment) -> None:
        """Add a segment without speech."""
        with self._lock:
            if self._emotions is not None:
                self._emotions.add_silence(segment.index)

    def add(self, segment: Segment, answer: TokenOutput | SpeakerEmbeddings | EmotionOutput) -> None:
        """Add a model's output for a segment."""
        with self._lock:
            if isinstance(answer, TokenOutput):
                if len(answer.tokens):
                    self._recognized[segment.index] = RecognizedSegment(segment.span, answer)
            elif isinstance(answer, SpeakerEmbeddings):
                self._voices[segment.index] = segment.span, answer
            elif self._emotions is not None:
                self._emotions.add(segment.index, segment.span, answer)

    def finish(self) -> SegmentOutputs:
        """All outputs, once every one has been added."""
        with self._lock:
            recognized = [self._recognized[index] for index in sorted(self._recognized)]
            if not self._speakers:
                return SegmentOutputs(recognized, None, None, self._emotions)
            voices = [self._voices[index] for index in sorted(self._voices)]
            self._voices.clear()
            times = [seconds(span.start, answer.spans) for span, answer in voices]
            embeddings = [answer.embeddings for _, answer in voices]
            windows = np.concatenate(times) if times else np.zeros((0, 2))
            found = np.concatenate(embeddings) if embeddings else np.zeros((0, 1), np.float32)
            return SegmentOutputs(recognized, windows, found, self._emotions)
