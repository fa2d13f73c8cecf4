"""Every word of a source as arrays. Ten hours have some 100,000, and each would be five objects."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from overtone.models.task import Vocabulary
from overtone.results import Word
from overtone.types import SAMPLE_RATE, Span, TokenOutput

_PER_MS = SAMPLE_RATE // 1000


@dataclass(frozen=True, slots=True, eq=False)
class RecognizedSegment:
    """One segment with the recognizer's output."""

    span: Span
    answer: TokenOutput

    @property
    def start_ms(self) -> int:
        """Start of the segment in milliseconds from the source's start."""
        return self.span.start // _PER_MS

    @property
    def end_ms(self) -> int:
        """End of the segment in milliseconds from the source's start."""
        return self.span.stop // _PER_MS


class WordTable:
    """Words in the order of time, made when they are looked at.

    segments: the segments with words, in order. `segment`: index into it of each word, int32 (words,).
    `times_ms`: first and last millisecond of each word, half-open, int32 (words, 2), -1 where the model gives none.
    `spoken`: false for a word that is a mark alone, bool (words,). `spans_ms`: when each word is spoken, int32 (words,
    2): its times, or its segment's, where the model gives none; of a mark, the end of the word before it.
    """

    def __init__(self, segments: Sequence[RecognizedSegment], vocabulary: Vocabulary) -> None:
        self.segments, self._vocabulary = segments, vocabulary
        rows: list[tuple[int, int, int, bool]] = []
        parts: list[npt.NDArray[np.int32]] = []
        for index, segment in enumerate(segments):
            tokens = vocabulary.words(segment.answer.tokens.tolist())
            rows = [(index, first, last, any(map(str.isalnum, text))) for text, first, last in tokens]
            parts.append(np.array(rows, np.int32).reshape(-1, 4))
        table = np.concatenate(parts) if parts else np.zeros((0, 4), np.int32)
        del parts
        # Copies: as parts of the table they would keep all of it.
        self.segment, self._tokens, self.spoken = table[:, 0].copy(), table[:, 1:3].copy(), table[:, 3].astype(np.bool_)
        del table
        self.times_ms = np.full((len(self), 2), -1, np.int32)
        self._confidences = np.zeros(len(self), np.float32)
        self._last: tuple[int, Sequence[tuple[str, int, int]]] = -1, ()
        for index, segment in enumerate(segments):
            self._fill(slice(*np.searchsorted(self.segment, (index, index + 1)).tolist()), segment)
        self.spans_ms = self._spans_ms()

    def _fill(self, words: slice, segment: RecognizedSegment) -> None:
        tokens, answer = self._tokens[words], segment.answer
        if not len(tokens):
            return
        if answer.times is not None:
            self.times_ms[words, 0] = answer.times[tokens[:, 0], 0] + segment.start_ms
            self.times_ms[words, 1] = answer.times[tokens[:, 1], 1] + segment.start_ms
        sums = np.concatenate([[0.0], np.cumsum(answer.confidences, dtype=np.float64)])
        counts = tokens[:, 1] + 1 - tokens[:, 0]
        self._confidences[words] = (sums[tokens[:, 1] + 1] - sums[tokens[:, 0]]) / counts

    def _spans_ms(self) -> npt.NDArray[np.int32]:
        segments = np.array([(one.start_ms, one.end_ms) for one in self.segments], np.int32).reshape(-1, 2)
        spans: npt.NDArray[np.int32] = self.times_ms.copy()
        for edge in range(2):
            untimed = np.flatnonzero(spans[:, edge] < 0)
            spans[untimed, edge] = segments[self.segment[untimed], edge]
        before = np.maximum.accumulate(np.where(self.spoken, np.arange(len(self), dtype=np.int32), np.int32(-1)))
        marks = ~self.spoken & (before >= 0)
        spans[marks] = spans[before[marks], 1, None]
        return spans

    def __len__(self) -> int:
        return len(self.segment)

    def texts(self, start: int, stop: int) -> Iterator[str]:
        """Texts of the words `start` to `stop`."""
        # Segment by segment: a list of numbers for all words would be as large as the table.
        while start < stop:
            segment = int(self.segment[start])
            first, end = np.searchsorted(self.segment, (segment, segment + 1)).tolist()
            words = self._words_of(segment)[start - first : min(end, stop) - first]
            yield from (text for text, _, _ in words)
            start += len(words)

    def _words_of(self, segment: int) -> Sequence[tuple[str, int, int]]:
        """Words of one segment; of the last one that was looked at they are still known."""
        if self._last[0] != segment:
            self._last = segment, self._vocabulary.words(self.segments[segment].answer.tokens.tolist())
        return self._last[1]

    def words(self, start: int, stop: int, speakers: Sequence[int | None] | None = None) -> tuple[Word, ...]:
        """The words `start` to `stop`; `speakers`: of each of them."""
        times, confidences = self.times_ms[start:stop].tolist(), self._confidences[start:stop].tolist()
        return tuple(
            Word(text, None, None, confidence, speaker)
            if begin < 0
            else Word(text, begin / 1000, end / 1000, confidence, speaker)
            for text, (begin, end), confidence, speaker in zip(
                self.texts(start, stop), times, confidences, speakers or [None] * (stop - start), strict=True
            )
        )

    def confidence(self, start: int, stop: int) -> float:
        """Mean confidence of the words `start` to `stop`."""
        return float(self._confidences[start:stop].mean())

    def span_ms(self, start: int, stop: int) -> tuple[int, int]:
        """Start of the first word that is spoken and end of the last, in milliseconds; where none is, of the marks."""
        spans = self.spans_ms[start:stop]
        if len(spoken := spans[self.spoken[start:stop]]):
            spans = spoken
        begin = int(spans[0, 0])
        return begin, max(begin, int(spans[:, 1].max()))

    def text(self, start: int, stop: int) -> str:
        """The text of these words as the recognizer writes it, with a blank between segments."""
        parts = []
        for index in range(int(self.segment[start]), int(self.segment[stop - 1]) + 1):
            own = self._tokens[start:stop][self.segment[start:stop] == index]
            if len(own):
                tokens = self.segments[index].answer.tokens[int(own[0, 0]) : int(own[-1, 1]) + 1]
                parts.append(self._vocabulary.text(tokens.tolist()))
        return " ".join(part for part in parts if part)
