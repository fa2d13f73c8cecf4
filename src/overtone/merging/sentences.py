"""The sentences of a source, made when they are looked at."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np
import numpy.typing as npt

from overtone.merging.punctuation.writer import Writer
from overtone.merging.sentence_breaks import MARKS, Ranges
from overtone.merging.words import WordTable
from overtone.models.ct_transformer.config import QUESTION, STOP
from overtone.models.sense_voice.tags import RichTags, parse_tags
from overtone.results import Emotion, Sentence


def numbered(marks: Iterable[str]) -> npt.NDArray[np.uint8]:
    """Marks as places in `MARKS`, uint8; one that is not there as none."""
    places = {mark: place for place, mark in enumerate(MARKS)}
    return np.array([places.get(mark, 0) for mark in marks], np.uint8)


@dataclass(frozen=True, slots=True, eq=False)
class SentenceAnnotations:
    """Annotations of the sentences beside their words; None without a model for them.

    marks: after each word, uint8 (words,). speakers: int32 (sentences,), and `word_speakers`, int32 (words,). scores:
    of emotions, float32 (sentences, classes), NaN for none, and their `labels`.
    """

    marks: npt.NDArray[np.uint8] | None = None
    speakers: npt.NDArray[np.int32] | None = None
    word_speakers: npt.NDArray[np.int32] | None = None
    scores: npt.NDArray[np.float32] | None = None
    labels: tuple[str, ...] = ()


class Sentences(Sequence[Sentence]):
    """The sentences of a source, in order of time. A pickle or a copy is a tuple of them."""

    def __init__(self, table: WordTable, ranges: Ranges, annotations: SentenceAnnotations) -> None:
        self._table, self._ranges, self._annotations = table, ranges, annotations

    def __reduce__(self) -> tuple[object, ...]:
        # The words alone are a small part of it; with them would go all of the model's vocabulary.
        return tuple, (list(self),)

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
            table.words(first, stop, self._word_speakers(first, stop)),
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
        before, *marks = [MARKS[mark] for mark in self._annotations.marks[max(first - 1, 0) : stop].tolist()]
        if first == 0:
            before, marks = STOP, [before, *marks]
        # After a pause alone, or another voice, the text goes on without a capital.
        opens = before in (STOP, QUESTION)
        return Writer().write(list(self._table.texts(first, stop)), marks, opens=opens).strip()

    def _speaker(self, index: int) -> int | None:
        speakers = self._annotations.speakers
        return None if speakers is None else int(speakers[index])

    def _word_speakers(self, first: int, stop: int) -> list[int] | None:
        speakers = self._annotations.word_speakers
        return None if speakers is None else speakers[first:stop].tolist()

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
