"""Sentences among words: where each begins and ends, and the sentences themselves, made when they are looked at."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np
import numpy.typing as npt

from overtone.merging.punctuation.writer import Writer
from overtone.merging.words import WordTable
from overtone.models.sense_voice.tags import RichTags, parse_tags
from overtone.results import Emotion, Sentence

ENDS = "。？！"
"""Marks that a sentence ends with."""

_LATIN_ENDS = ".?!"
"""Marks that a sentence ends with if a blank follows; between two of `3.5` and of `U.S.` none does."""

MARKS = ("", "，", "。", "？", "、", "！")
"""Marks that a word can be followed by; an array of marks holds places in this."""

Ranges = npt.NDArray[np.int32]
"""First and last word of each sentence, half-open, int32 (sentences, 2)."""


def by_pause(table: WordTable) -> Ranges:
    """Sentences by pause: the words between two pauses are one."""
    starts = np.flatnonzero(np.diff(table.segment, prepend=-1))
    return _ranges(starts, len(table))


def split_by_own_punctuation(table: WordTable) -> Ranges:
    """Sentences by the recognizer's punctuation: one ends with a word that is a mark of its end, and before a pause."""
    ended = [_ends(table, place, text) for place, text in enumerate(table.texts(0, len(table)))]
    after_mark = np.flatnonzero(ended) + 1
    starts = np.union1d(np.flatnonzero(np.diff(table.segment, prepend=-1)), after_mark[after_mark < len(table)])
    return _ranges(starts, len(table))


def _ends(table: WordTable, place: int, text: str) -> bool:
    if text[-1:] not in _LATIN_ENDS:
        return text[-1:] in ENDS
    return place + 1 == len(table) or " " in table.text(place, place + 2)


def split_by_punctuation(marks: npt.NDArray[np.uint8]) -> Ranges:
    """Sentences by restored punctuation: one ends with a word that a mark of its end follows. marks: uint8 (words,)."""
    ended = np.isin(marks, [place for place, mark in enumerate(MARKS) if mark and mark in ENDS])
    after = np.flatnonzero(ended) + 1
    return _ranges(np.union1d([0], after[after < len(marks)]), len(marks))


def _ranges(starts: npt.NDArray[np.intp], words: int) -> Ranges:
    if not words:
        return np.zeros((0, 2), np.int32)
    return np.stack([starts, np.append(starts[1:], words)], axis=1).astype(np.int32)


def numbered(marks: Iterable[str]) -> npt.NDArray[np.uint8]:
    """Marks as places in `MARKS`, uint8; one that is not there as none."""
    places = {mark: place for place, mark in enumerate(MARKS)}
    return np.array([places.get(mark, 0) for mark in marks], np.uint8)


@dataclass(frozen=True, slots=True, eq=False)
class SentenceAnnotations:
    """Annotations of the sentences beside their words; None without a model for them.

    marks: after each word, uint8 (words,). speakers: int32 (sentences,), -1 for none. scores: of emotions, float32
    (sentences, classes), NaN for none, and their `labels`.
    """

    marks: npt.NDArray[np.uint8] | None = None
    speakers: npt.NDArray[np.int32] | None = None
    scores: npt.NDArray[np.float32] | None = None
    labels: tuple[str, ...] = ()


class Sentences(Sequence[Sentence]):
    """The sentences of a source, in order of time."""

    def __init__(self, table: WordTable, ranges: Ranges, annotations: SentenceAnnotations) -> None:
        self._table, self._ranges, self._annotations = table, ranges, annotations

    def __len__(self) -> int:
        return len(self._ranges)

    @overload
    def __getitem__(self, at: int) -> Sentence: ...

    @overload
    def __getitem__(self, at: slice) -> tuple[Sentence, ...]: ...

    def __getitem__(self, at: int | slice) -> Sentence | tuple[Sentence, ...]:
        places = range(len(self))[at]
        return self._sentence(places) if isinstance(places, int) else tuple(map(self._sentence, places))

    def _sentence(self, index: int) -> Sentence:
        first, stop = self._ranges[index].tolist()
        table = self._table
        begin, end = table.span_ms(first, stop)
        tags = parse_tags(table.segments[table.segment[first]].answer.tags)
        return Sentence(
            begin / 1000,
            end / 1000,
            self.text(index),
            table.words(first, stop),
            self._speaker(index),
            self._emotion(index, tags),
            tags.language,
            tags.event,
            table.confidence(first, stop),
        )

    def text(self, index: int) -> str:
        """One sentence's text."""
        first, stop = self._ranges[index].tolist()
        if self._annotations.marks is None:
            return self._table.text(first, stop)
        marks = [MARKS[mark] for mark in self._annotations.marks[first:stop].tolist()]
        return Writer().write(list(self._table.texts(first, stop)), marks, opens=True).strip()

    def _speaker(self, index: int) -> int | None:
        speakers = self._annotations.speakers
        return None if speakers is None or speakers[index] < 0 else int(speakers[index])

    def _emotion(self, index: int, tags: RichTags) -> Emotion | None:
        if self._annotations.scores is None:
            return None if tags.emotion is None else Emotion(tags.emotion)
        scores = self._annotations.scores[index]
        if not self._annotations.labels or np.isnan(scores[0]):
            return None
        best = int(scores.argmax())
        pairs = zip(self._annotations.labels, scores.astype(float).tolist(), strict=True)
        return Emotion(self._annotations.labels[best], float(scores[best]), dict(pairs))

    def __repr__(self) -> str:
        return f"Sentences({len(self)} of them)"


def joined(texts: Iterable[str]) -> str:
    """Texts as one: a blank between two unless either side of it is a script without blanks."""
    parts: list[str] = []
    for text in texts:
        if not text:
            continue
        if parts and parts[-1][-1:].isascii() and text[:1].isascii():
            parts.append(" ")
        parts.append(text)
    return "".join(parts)
