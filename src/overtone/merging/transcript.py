"""The transcript of a source, from the outputs of all models: sentences, with punctuation, speakers and emotions."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from overtone.merging.punctuation.restoration import Punctuator
from overtone.merging.segment_outputs import SegmentOutputs
from overtone.merging.sentences import (
    Ranges,
    SentenceAnnotations,
    Sentences,
    by_pause,
    joined,
    numbered,
    split_by_own_punctuation,
    split_by_punctuation,
)
from overtone.merging.speakers.clustering import renumbered
from overtone.merging.speakers.diarization import diarize, speakers_of
from overtone.merging.words import WordTable
from overtone.models.sense_voice.tags import parse_tags
from overtone.models.task import Vocabulary

_CLUSTERING = threading.Lock()
"""One source at a time: what it takes is in the plan once."""

_WORDS_AT_ONCE = 512
"""Words handed to punctuation at a time."""


@dataclass(frozen=True, slots=True, eq=False)
class BuiltTranscript:
    """The fields of `overtone.Transcript` that are built here."""

    text: str
    sentences: Sentences
    language: str | None
    speakers: int | None


class TranscriptBuilder:
    """Builds transcripts. has_punctuation: the recognizer writes it. speakers: their number, if it is known."""

    def __init__(
        self, vocabulary: Vocabulary, punctuator: Punctuator | None, *, has_punctuation: bool, speakers: int | None
    ) -> None:
        self._vocabulary, self._punctuator = vocabulary, punctuator
        self._has_punctuation, self._speakers = has_punctuation, speakers

    def build(self, outputs: SegmentOutputs) -> BuiltTranscript:
        """Build the transcript of one source. ModelError where a model gave values that are no numbers."""
        table = WordTable(outputs.recognized, self._vocabulary)
        marks = None
        if self._punctuator is not None:
            text, marks = _punctuated(table, self._punctuator)
            ranges = split_by_punctuation(marks)
        else:
            pauses = by_pause(table)
            text = joined(table.text(*pair) for pair in pauses.tolist())
            ranges = split_by_own_punctuation(table) if self._has_punctuation else pauses
        spans_ms = np.array([table.span_ms(*pair) for pair in ranges.tolist()], np.int32).reshape(-1, 2)
        speakers = self._speakers_of(outputs, spans_ms)
        emotions = outputs.emotions
        annotations = SentenceAnnotations(
            marks,
            speakers,
            None if emotions is None else emotions.scores(spans_ms),
            () if emotions is None else emotions.labels,
        )
        sentences = Sentences(table, ranges, annotations)
        count = None if speakers is None else len(np.unique(speakers[speakers >= 0]))
        return BuiltTranscript(text, sentences, _language(table, ranges), count)

    def _speakers_of(self, outputs: SegmentOutputs, spans_ms: npt.NDArray[np.int32]) -> npt.NDArray[np.int32] | None:
        """The speaker of each sentence."""
        if outputs.windows is None or outputs.embeddings is None:
            return None
        with _CLUSTERING:
            turns = diarize(outputs.embeddings, outputs.windows, self._speakers)
        found = speakers_of([(start, end) for start, end in spans_ms.tolist()], turns)
        return renumbered(found)


def _punctuated(table: WordTable, punctuator: Punctuator) -> tuple[str, npt.NDArray[np.uint8]]:
    """The text with marks, and the mark after each word, as places in `MARKS`."""
    stream = punctuator.stream()
    found = [stream.push(list(table.texts(*some))) for some in _in_parts(len(table))]
    found.append(stream.finish())
    marks = np.concatenate([numbered(part.marks) for part in found])
    return "".join(part.text for part in found).strip(), marks


def _in_parts(words: int) -> Iterator[tuple[int, int]]:
    for start in range(0, words, _WORDS_AT_ONCE):
        yield start, min(start + _WORDS_AT_ONCE, words)


def _language(table: WordTable, ranges: Ranges) -> str | None:
    """The language of most sentences."""
    recognized = (table.segments[table.segment[first]] for first in ranges[:, 0].tolist())
    counts = Counter(language for one in recognized if (language := parse_tags(one.answer.tags).language) is not None)
    return counts.most_common(1)[0][0] if counts else None
