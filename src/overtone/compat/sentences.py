"""FunASR's `sentence_info`: sentences with their times, by punctuation or by segments."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from overtone.compat.segment_text import SegmentText, Times
from overtone.merging.punctuation import sentences
from overtone.merging.punctuation.restoration import Punctuator
from overtone.merging.punctuation.sentences import TimedWord

Info = dict[str, Any]

_TAG = re.compile(r"<\|[^|]*\|>")
_ENGLISH: Mapping[str, str] = {"，": ",", "。": ".", "？": "?", "、": ","}


def joined(texts: Sequence[str]) -> str:
    """Texts of segments as one, without their tags, with a blank between two unless both sides are Chinese."""
    text = ""
    for part in filter(None, (untagged(text) for text in texts)):
        chinese = text and _chinese(text[-1]) and _chinese(part[0])
        text += part if not text or chinese else " " + part
    return text


def untagged(text: str) -> str:
    """A text without SenseVoice's tags."""
    return _TAG.sub("", text).strip()


def _chinese(character: str) -> bool:
    return "\u3400" <= character <= "\u9fff"


@dataclass(frozen=True, slots=True)
class PunctuatedText:
    """A text that has been punctuated: with its marks, and the pieces that each have one of `marks`, "" for none.

    spans: where the pieces stand in the text before; None where they do not all stand there as they are.
    """

    before: str
    text: str
    pieces: list[str]
    marks: list[str]
    spans: list[tuple[int, int]] | None

    @classmethod
    def of(cls, text: str, punctuator: Punctuator) -> PunctuatedText:
        """Punctuate a text."""
        found = punctuator.punctuate(text)
        splitter = punctuator.splitter()
        pieces: list[str] = []
        for piece, _, _ in [*splitter.push(text.split()), *splitter.finish()]:
            # As FunASR counts them: words of East Asia in characters.
            pieces += piece if "\u0e00" <= piece[0] <= "\u9fa5" else [piece]
        return cls(text, found.text, pieces, found.marks, _spans(text, pieces))

    def surface(self) -> str | None:
        """The text as it was, with its marks; None where they have no place in it."""
        if self.spans is None:
            return None
        written, at = [], 0
        for piece, mark, (_, end) in zip(self.pieces, self.marks, self.spans, strict=True):
            written += [self.before[at:end], _mark(mark, piece)]
            at = end
        return "".join([*written, self.before[at:]])


def _spans(text: str, pieces: Sequence[str]) -> list[tuple[int, int]] | None:
    spans, at = [], 0
    for piece in pieces:
        while at < len(text) and text[at].isspace():
            at += 1
        if not text.startswith(piece, at):
            return None
        spans.append((at, at + len(piece)))
        at += len(piece)
    return spans


def _mark(mark: str, piece: str) -> str:
    return _ENGLISH.get(mark, mark) if piece[0].isascii() else mark


def by_words(
    punctuated: PunctuatedText, segments: Sequence[SegmentText], *, english: bool, raw: bool
) -> list[Info] | None:
    """Sentences of words with a mark each (FunASR ends one at commas too).

    None where words have no times, or punctuation counts them otherwise. english: FunASR's `en_post_proc`. raw: with
    `raw_text`, the words without marks.
    """
    words, times = _words(segments)
    if not words or len(punctuated.marks) != len(words):
        return None
    return _sentences(punctuated.marks, words, times, english=english, raw=raw)


def by_pieces(
    punctuated: PunctuatedText, segments: Sequence[SegmentText], *, english: bool, raw: bool
) -> list[Info] | None:
    """Sentences for SenseVoice, whose words are other pieces of the text, which is kept as it is written."""
    words, times = _words(segments)
    if words and len(punctuated.marks) != len(words):
        words, times = punctuated.pieces, _times_of_pieces(punctuated.pieces, words, times) or []
    if not times or len(punctuated.marks) != len(times):
        return None
    if punctuated.spans is None:
        return _sentences(punctuated.marks, words, times, english=english, raw=raw)
    found: list[Info] = []
    first, last = 0, len(times) - 1
    for place, (piece, mark) in enumerate(zip(punctuated.pieces, punctuated.marks, strict=True)):
        if not mark and place != last:
            continue
        text = punctuated.before[punctuated.spans[first][0] : punctuated.spans[place][1]].strip()
        found.append(_info(text + _mark(mark, piece), times[first : place + 1]))
        if raw:
            found[-1]["raw_text"] = text
        first = place + 1
    return found


def _words(segments: Sequence[SegmentText]) -> tuple[list[str], Times]:
    words = [word for segment in segments for word in segment.words or []]
    return words, [list(span) for segment in segments for span in segment.times or []]


def _sentences(marks: Sequence[str], words: Sequence[str], times: Times, *, english: bool, raw: bool) -> list[Info]:
    timed = (TimedWord(word, start, end) for word, (start, end) in zip(words, times, strict=True))
    found = []
    # What follows the last mark is a sentence too; FunASR loses it.
    for sentence in sentences.sentences(timed, marks, english=english):
        found.append(_info(sentence.text, [[word.start_ms, word.end_ms] for word in sentence.words]))
        if raw:
            found[-1]["raw_text"] = (" " if english else "").join(word.text for word in sentence.words)
    return found


def _info(text: str, times: Times) -> Info:
    return {"text": text, "start": times[0][0], "end": times[-1][1], "timestamp": times}


def _times_of_pieces(pieces: Sequence[str], words: Sequence[str], times: Times) -> Times | None:
    """Times of the pieces that punctuation counts: each character has an equal part of its word's time.

    None where pieces and words are not of the same characters.
    """
    characters = ""
    spans: Times = []
    for word, (start, end) in zip(words, times, strict=True):
        text = _plain(word)
        if not text or end < start:
            return None
        characters += text
        edges = [start + (end - start) * place // len(text) for place in range(len(text) + 1)]
        spans += [list(edge) for edge in pairwise(edges)]
    found: Times = []
    at = 0
    for piece in pieces:
        text = _plain(piece)
        if not text or not characters.startswith(text, at) or at + len(text) > len(spans):
            return None
        found.append([spans[at][0], spans[at + len(text) - 1][1]])
        at += len(text)
    return found if at == len(spans) else None


def _plain(text: str) -> str:
    return "".join(text.split()).replace("▁", "").casefold()


def by_segments(segments: Sequence[SegmentText]) -> list[Info]:
    """Each segment with words as a sentence, without its tags."""
    found = []
    for segment in segments:
        if text := untagged(segment.text):
            times = [list(span) for span in segment.times or []]
            start, end = (times[0][0], times[-1][1]) if times else (segment.start_ms, segment.end_ms)
            found.append({"start": start, "end": end, "text": text, "sentence": text, "timestamp": times})
    return found


def by_vad_segment(segments: Sequence[SegmentText]) -> list[Info]:
    """Each segment as a sentence, as it is, for `spk_mode="vad_segment"`."""
    return [
        {
            "start": segment.start_ms,
            "end": segment.end_ms,
            "text": segment.text,
            "sentence": segment.text,
            "timestamp": [list(span) for span in segment.times or []],
        }
        for segment in segments
    ]
