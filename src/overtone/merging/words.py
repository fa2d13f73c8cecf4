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
    """

    def __init__(self, segments: Sequence[RecognizedSegment], vocabulary: Vocabulary) -> None:
        self.segments, self._vocabulary = segments, vocabulary
        rows: list[tuple[int, int, int]] = []
        parts: list[npt.NDArray[np.int32]] = []
        for index, segment in enumerate(segments):
            tokens = vocabulary.words(segment.answer.tokens.tolist())
            rows = [(index, first, last) for _, first, last in tokens]
            parts.append(np.array(rows, np.int32).reshape(-1, 3))
        table = np.concatenate(parts) if parts else np.zeros((0, 3), np.int32)
        self.segment, self._tokens = table[:, 0], table[:, 1:]
        self.times_ms = np.full((len(table), 2), -1, np.int32)
        self._confidences = np.zeros(len(table), np.float32)
        self._last: tuple[int, Sequence[tuple[str, int, int]]] = -1, ()
        for index, segment in enumerate(segments):
            self._fill(slice(*np.searchsorted(self.segment, (index, index + 1)).tolist()), segment)

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

    def __len__(self) -> int:
        return len(self.segment)

    def texts(self, start: int, stop: int) -> Iterator[str]:
        """Texts of the words `start` to `stop`."""
        firsts = np.searchsorted(self.segment, self.segment[start:stop]).tolist()
        for at, first in zip(range(start, stop), firsts, strict=True):
            yield self._words_of(int(self.segment[at]))[at - first][0]

    def _words_of(self, segment: int) -> Sequence[tuple[str, int, int]]:
        """Words of one segment; of the last one that was looked at they are still known."""
        if self._last[0] != segment:
            self._last = segment, self._vocabulary.words(self.segments[segment].answer.tokens.tolist())
        return self._last[1]

    def words(self, start: int, stop: int) -> tuple[Word, ...]:
        """The words `start` to `stop`."""
        times, confidences = self.times_ms[start:stop].tolist(), self._confidences[start:stop].tolist()
        return tuple(
            Word(text, None, None, confidence) if begin < 0 else Word(text, begin / 1000, end / 1000, confidence)
            for text, (begin, end), confidence in zip(self.texts(start, stop), times, confidences, strict=True)
        )

    def confidence(self, start: int, stop: int) -> float:
        """Mean confidence of the words `start` to `stop`."""
        return float(self._confidences[start:stop].mean())

    def span_ms(self, start: int, stop: int) -> tuple[int, int]:
        """Start of the first word and end of the last in milliseconds; of their segments, where words have no times."""
        begin, end = int(self.times_ms[start, 0]), int(self.times_ms[stop - 1, 1])
        if begin < 0:
            return self.segments[self.segment[start]].start_ms, self.segments[self.segment[stop - 1]].end_ms
        return begin, max(begin, end)

    def text(self, start: int, stop: int) -> str:
        """The text of these words as the recognizer writes it, with a blank between segments."""
        parts = []
        for index in range(int(self.segment[start]), int(self.segment[stop - 1]) + 1):
            own = self._tokens[start:stop][self.segment[start:stop] == index]
            if len(own):
                tokens = self.segments[index].answer.tokens[int(own[0, 0]) : int(own[-1, 1]) + 1]
                parts.append(self._vocabulary.text(tokens.tolist()))
        return " ".join(part for part in parts if part)
