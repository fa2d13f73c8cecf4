"""FunASR's answer for one segment: its text, and words with their times."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from overtone.merging.words import RecognizedSegment
from overtone.models.paraformer.task import ParaformerTask
from overtone.models.sense_voice.task import SenseVoiceTask
from overtone.models.task import Task
from overtone.models.tokenizers.characters import CharTokenizer
from overtone.models.tokenizers.sentencepiece import BLANK, SentencePieceTokenizer

Times = list[list[int]]
"""First and last millisecond of each word, half-open, from the source's start."""


@dataclass(frozen=True, slots=True)
class SegmentText:
    """The text of one segment. Milliseconds from the source's start.

    words, times: None where they were not asked for.
    """

    start_ms: int
    end_ms: int
    text: str
    words: list[str] | None = None
    times: Times | None = None


class TextFormatter(Protocol):
    """Writes the segments of one kind of recognizer as FunASR does."""

    gives_words: bool
    """True where FunASR gives the words (`words`) beside their times."""

    def format(self, segment: RecognizedSegment, *, times: bool) -> SegmentText:
        """Write one segment, with times where they are wanted and there are any."""


def formatter_for(task: Task) -> TextFormatter:
    """The formatter for a recognizer's task."""
    if isinstance(task, ParaformerTask):
        return _ParaformerFormatter(task.tokens)
    assert isinstance(task, SenseVoiceTask)
    return _SenseVoiceFormatter(task.pieces)


class _ParaformerFormatter:
    """Writes Paraformers: those that know times give them always, and write a blank after each word then."""

    gives_words = False

    def __init__(self, tokens: CharTokenizer) -> None:
        self._tokens = tokens

    def format(self, segment: RecognizedSegment, *, times: bool) -> SegmentText:
        """Write one segment; see `TextFormatter`."""
        answer, tokens = segment.answer, segment.answer.tokens.tolist()
        if answer.times is None:
            return SegmentText(segment.start_ms, segment.end_ms, self._tokens.text(tokens))
        found = self._tokens.words(tokens)
        spans = answer.times.tolist()
        times_ms = [[spans[first][0] + segment.start_ms, spans[last][1] + segment.start_ms] for _, first, last in found]
        words = [word for word, _, _ in found]
        return SegmentText(segment.start_ms, segment.end_ms, " ".join(words), words, times_ms)


class _SenseVoiceFormatter:
    """Writes SenseVoice: the text begins with its tags."""

    gives_words = True

    def __init__(self, pieces: SentencePieceTokenizer) -> None:
        self._pieces = pieces

    def format(self, segment: RecognizedSegment, *, times: bool) -> SegmentText:
        """Write one segment; see `TextFormatter`."""
        answer, tokens = segment.answer, segment.answer.tokens.tolist()
        text = self._text(answer.tags, tokens)
        if not times or not tokens or answer.times is None:
            return SegmentText(segment.start_ms, segment.end_ms, text)
        words, spans = _joined([self._pieces[token] for token in tokens], answer.times.tolist())
        times_ms = [[start + segment.start_ms, end + segment.start_ms] for start, end in spans]
        return SegmentText(segment.start_ms, segment.end_ms, text, words, times_ms)

    def _text(self, tags: Sequence[str], tokens: list[int]) -> str:
        # Decoded together, for what a blank at the beginning becomes depends on what is before it.
        ids = self._pieces.split("".join(tags))
        if [self._pieces[token] for token in ids] == list(tags):
            return self._pieces.decode([*ids, *tokens])
        return "".join(tags) + self._pieces.decode(tokens)


def _joined(pieces: list[str], spans: Times) -> tuple[list[str], Times]:
    """FunASR's `words` of pieces, and their times.

    A blank begins a word, and so does anything but an ASCII letter; the first piece keeps its blank, and nothing is
    joined to it then. A blank that stands alone is left out and parts nothing.
    """
    words: list[str] = []
    times_ms: Times = []
    for place, (piece, (start, end)) in enumerate(zip(pieces, spans, strict=True)):
        if piece == BLANK:
            continue
        opens = place == 0 or piece.startswith(BLANK)
        if not opens and words and _letters(words[-1]) and _letters(piece):
            words[-1] += piece
            times_ms[-1][1] = end
        else:
            words.append(piece if place == 0 else piece.removeprefix(BLANK))
            times_ms.append([start, end])
    return words, times_ms


def _letters(text: str) -> bool:
    return text.isascii() and text.isalpha()
