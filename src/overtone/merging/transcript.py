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
from overtone.merging.sentence_breaks import (
    Breaks,
    Ranges,
    breaks_after_marks,
    breaks_after_own_marks,
    breaks_at_pauses,
    breaks_at_segments,
    breaks_at_turns,
    ranges_of,
)
from overtone.merging.sentences import SentenceAnnotations, Sentences, joined, numbered
from overtone.merging.speakers.clustering import renumbered
from overtone.merging.speakers.diarization import diarize
from overtone.merging.speakers.word_speakers import Speakers, only_speakers, speakers_of_sentences, speakers_of_words
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
    """Builds transcripts.

    has_punctuation: the recognizer writes it. speakers: their number, if it is known. sentence_pause_s: seconds of a
    pause that ends a sentence.
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        punctuator: Punctuator | None,
        *,
        has_punctuation: bool,
        speakers: int | None,
        sentence_pause_s: float,
    ) -> None:
        self._vocabulary, self._punctuator = vocabulary, punctuator
        self._has_punctuation, self._speakers = has_punctuation, speakers
        self._pause_ms = round(sentence_pause_s * 1000)

    def build(self, outputs: SegmentOutputs) -> BuiltTranscript:
        """Build the transcript of one source. ModelError where a model gave values that are no numbers."""
        table = WordTable(outputs.recognized, self._vocabulary)
        marks = None
        if self._punctuator is not None:
            text, marks = _punctuated(table, self._punctuator)
            breaks = breaks_after_marks(marks)
        else:
            breaks = breaks_at_segments(table)
            text = joined(table.text(*pair) for pair in ranges_of(breaks).tolist())
            if self._has_punctuation:
                breaks = breaks | breaks_after_own_marks(table)
        breaks = breaks | breaks_at_pauses(table, self._pause_ms)
        ranges, speakers, word_speakers = self._voices(outputs, table, breaks)
        emotions = outputs.emotions
        spans_ms = np.array([table.span_ms(*pair) for pair in ranges.tolist()], np.int32).reshape(-1, 2)
        annotations = SentenceAnnotations(
            marks,
            speakers,
            word_speakers,
            None if emotions is None else emotions.scores(spans_ms),
            () if emotions is None else emotions.labels,
        )
        sentences = Sentences(table, ranges, annotations)
        count = None if speakers is None else len(np.unique(speakers))
        return BuiltTranscript(text, sentences, _language(table, ranges), count)

    def _voices(
        self, outputs: SegmentOutputs, table: WordTable, breaks: Breaks
    ) -> tuple[Ranges, Speakers | None, Speakers | None]:
        """Sentences, cut at changes of voice too, and the speakers of them and of their words."""
        if outputs.windows is None or outputs.embeddings is None:
            return ranges_of(breaks), None, None
        with _CLUSTERING:
            turns = diarize(outputs.embeddings, outputs.windows, self._speakers)
        of_words = speakers_of_words(table.spans_ms, turns)
        ranges = ranges_of(breaks | breaks_at_turns(table, of_words, breaks))
        of_sentences = speakers_of_sentences(of_words, table.spans_ms, ranges)
        of_words = only_speakers(of_words, of_sentences, ranges)
        # Who speaks is numbered as the sentences have them.
        numbers = renumbered(np.concatenate([of_sentences, of_words]))
        return ranges, numbers[: len(ranges)], numbers[len(ranges) :]


def _punctuated(table: WordTable, punctuator: Punctuator) -> tuple[str, npt.NDArray[np.uint8]]:
    """The text with marks, and the mark after each word, as places in `MARKS`."""
    stream = punctuator.stream()
    texts, marks = [], []
    for some in (*_in_parts(len(table)), None):
        part = stream.finish() if some is None else stream.push(list(table.texts(*some)))
        texts.append(part.text)
        marks.append(numbered(part.marks))  # a byte for each word from here on
    return "".join(texts).strip(), np.concatenate(marks)


def _in_parts(words: int) -> Iterator[tuple[int, int]]:
    for start in range(0, words, _WORDS_AT_ONCE):
        yield start, min(start + _WORDS_AT_ONCE, words)


def _language(table: WordTable, ranges: Ranges) -> str | None:
    """The language of most sentences."""
    recognized = (table.segments[table.segment[first]] for first in ranges[:, 0].tolist())
    counts = Counter(language for one in recognized if (language := parse_tags(one.answer.tags).language) is not None)
    return counts.most_common(1)[0][0] if counts else None
