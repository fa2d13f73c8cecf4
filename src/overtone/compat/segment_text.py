"""What FunASR tells of one segment: its text, and words with their times."""

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
    """One segment. Milliseconds from the source's start. words, times: None where they were not asked for."""

    start_ms: int
    end_ms: int
    text: str
    words: list[str] | None = None
    times: Times | None = None


class TextFormatter(Protocol):
    """Tells what a kind of recogniser says of a segment."""

    tells_words: bool
    """Whether FunASR gives them (`words`) beside their times."""

    def said(self, heard: RecognizedSegment, *, times: bool) -> SegmentText:
        """One segment, with times where they are wanted and there are any."""


def formatter_for(task: Task) -> TextFormatter:
    """For a recogniser."""
    if isinstance(task, ParaformerTask):
        return _Characters(task.tokens)
    assert isinstance(task, SenseVoiceTask)
    return _Pieces(task.pieces)


class _Characters:
    """Paraformers. Those that know times tell them always, and write a blank after each word then."""

    tells_words = False

    def __init__(self, tokens: CharTokenizer) -> None:
        self._tokens = tokens

    def said(self, heard: RecognizedSegment, *, times: bool) -> SegmentText:
        """See `TextFormatter`."""
        answer, tokens = heard.answer, heard.answer.tokens.tolist()
        if answer.times is None:
            return SegmentText(heard.start_ms, heard.end_ms, self._tokens.text(tokens))
        found = self._tokens.words(tokens)
        spans = answer.times.tolist()
        told = [[spans[first][0] + heard.start_ms, spans[last][1] + heard.start_ms] for _, first, last in found]
        words = [word for word, _, _ in found]
        return SegmentText(heard.start_ms, heard.end_ms, " ".join(words), words, told)


class _Pieces:
    """SenseVoice. The text begins with its tags."""

    tells_words = True

    def __init__(self, pieces: SentencePieceTokenizer) -> None:
        self._pieces = pieces

    def said(self, heard: RecognizedSegment, *, times: bool) -> SegmentText:
        """See `TextFormatter`."""
        answer, tokens = heard.answer, heard.answer.tokens.tolist()
        text = self._text(answer.tags, tokens)
        if not times or not tokens or answer.times is None:
            return SegmentText(heard.start_ms, heard.end_ms, text)
        words, spans = _joined([self._pieces[token] for token in tokens], answer.times.tolist())
        told = [[start + heard.start_ms, end + heard.start_ms] for start, end in spans]
        return SegmentText(heard.start_ms, heard.end_ms, text, words, told)

    def _text(self, tags: Sequence[str], tokens: list[int]) -> str:
        # Decoded together, for what a blank at the beginning becomes depends on what is before it.
        ids = self._pieces.split("".join(tags))
        if [self._pieces[token] for token in ids] == list(tags):
            return self._pieces.decode([*ids, *tokens])
        return "".join(tags) + self._pieces.decode(tokens)


def _joined(pieces: list[str], spans: Times) -> tuple[list[str], Times]:
    """Pieces as FunASR's `words`: a blank begins one, and so does what is no ASCII letter; the first piece keeps its
    blank, and nothing is joined to it then. A blank that stands alone is left out and parts nothing."""
    words: list[str] = []
    told: Times = []
    for place, (piece, (start, end)) in enumerate(zip(pieces, spans, strict=True)):
        if piece == BLANK:
            continue
        opens = place == 0 or piece.startswith(BLANK)
        if not opens and words and _letters(words[-1]) and _letters(piece):
            words[-1] += piece
            told[-1][1] = end
        else:
            words.append(piece if place == 0 else piece.removeprefix(BLANK))
            told.append([start, end])
    return words, told


def _letters(text: str) -> bool:
    return text.isascii() and text.isalpha()
