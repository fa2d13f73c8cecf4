"""Subtitle cues of a result."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from overtone.output.formats.subtitle_splitting import pieces
from overtone.output.records import expect_type, rounded
from overtone.results import SILENCE, EmotionResult, Result, SegmentResult, Transcript
from overtone.types import SAMPLE_RATE


@dataclass(frozen=True, slots=True)
class Cue:
    """One subtitle: a line of text, from one millisecond to a later one. `speaker`: 0 for the first to speak."""

    start_ms: int
    end_ms: int
    text: str
    speaker: int | None = None


def cues(result: Result) -> Iterator[Cue]:
    """The cues of a result in order of time: its speech with a label and its score, or its sentences.

    Those of a transcript do not overlap: where two speak at once, one ends when the next begins.
    """
    if isinstance(result, Transcript):
        yield from _apart(sorted(_spoken(result), key=lambda cue: cue.start_ms))
        return
    for label, segment in labelled_stretches(expect_type(result, EmotionResult)):
        score = rounded(segment.score)
        start, end = _milliseconds(segment.span.start), _milliseconds(segment.span.stop)
        # Both forms want a cue to end after it starts.
        yield Cue(start, max(end, start + 1), label if score is None else f"{label} {score:.2f}")


def labelled_stretches(result: EmotionResult) -> Iterator[tuple[str, SegmentResult]]:
    """Label and segment of each stretch of speech that has a label; the label on one line."""
    for segment in result.segments:
        if segment.label is not None and segment.label != SILENCE:
            yield single_line(segment.label), segment


def speaker_name(speaker: int) -> str:
    """A speaker's name for people to read: they count from 1."""
    return f"Speaker {speaker + 1}"


def single_line(text: str) -> str:
    """`text` with single blanks in the place of blanks and line ends."""
    return " ".join(text.split())


def _spoken(result: Transcript) -> Iterator[Cue]:
    for sentence in result.sentences:
        mood = "" if sentence.emotion is None else f"[{single_line(sentence.emotion.label)}] "
        for piece in pieces(sentence):
            yield Cue(piece.start_ms, max(piece.end_ms, piece.start_ms + 1), mood + piece.text, sentence.speaker)


def _apart(ordered: Iterable[Cue]) -> Iterator[Cue]:
    before: Cue | None = None
    for cue in ordered:
        if before is not None:
            start = max(cue.start_ms, before.start_ms + 1)
            yield replace(before, end_ms=min(before.end_ms, start))
            cue = replace(cue, start_ms=start, end_ms=max(cue.end_ms, start + 1))  # noqa: PLW2901 - moved
        before = cue
    if before is not None:
        yield before


def _milliseconds(samples: int) -> int:
    return (samples * 1000 + SAMPLE_RATE // 2) // SAMPLE_RATE
