"""Transcripts as rows: one per input or per sentence; the words of a sentence stand in its row."""

from __future__ import annotations

from collections.abc import Iterator

from overtone.output.formats.table import Cell, Column, Table, WordCell
from overtone.output.records import CONFIDENCE_DIGITS, SECOND_DIGITS, Detail, expect_type, rounded
from overtone.results import Result, Sentence, Transcript

_TEXT = (
    Column("duration", "seconds"),
    Column("speakers", "integer"),
    Column("language", "text"),
    Column("text", "text"),
)

_SENTENCE = (
    Column("start", "seconds"),
    Column("end", "seconds"),
    Column("speaker", "integer"),
    Column("emotion", "text"),
    Column("emotion_score", "score"),
    Column("language", "text"),
    Column("event", "text"),
    Column("confidence", "share"),
    Column("text", "text"),
)

_COLUMNS = {"text": _TEXT, "sentence": _SENTENCE, "word": (*_SENTENCE, Column("words", "words"))}


class TranscriptRows(Table):
    """Table of sentences; a transcript without sentences has one row, which spans it."""

    def __init__(self, detail: Detail) -> None:
        super().__init__(detail, _COLUMNS[detail])

    def _cells(self, result: Result) -> Iterator[tuple[Cell, ...]]:
        transcript = expect_type(result, Transcript)
        length = rounded(transcript.duration, SECOND_DIGITS)
        if self.level == "text":
            yield (length, transcript.speakers, transcript.language, transcript.text)
            return
        whole = Sentence(0.0, transcript.duration, transcript.text, language=transcript.language)
        for sentence in transcript.sentences or (whole,):
            cells = _cells(sentence)
            yield (*cells, _words(sentence)) if self.level == "word" else cells


def _cells(sentence: Sentence) -> tuple[Cell, ...]:
    emotion = sentence.emotion
    return (
        rounded(sentence.start, SECOND_DIGITS),
        rounded(sentence.end, SECOND_DIGITS),
        sentence.speaker,
        None if emotion is None else emotion.label,
        None if emotion is None else rounded(emotion.score),
        sentence.language,
        sentence.event,
        rounded(sentence.confidence, CONFIDENCE_DIGITS),
        sentence.text,
    )


def _words(sentence: Sentence) -> list[WordCell]:
    return [
        (
            word.text,
            rounded(word.start, SECOND_DIGITS),
            rounded(word.end, SECOND_DIGITS),
            rounded(word.confidence, CONFIDENCE_DIGITS),
            word.speaker,
        )
        for word in sentence.words
    ]
