"""Subtitle cues of a result."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from overtone.output.formats.subtitle_clock import has_times
from overtone.output.formats.subtitle_layout import text_width
from overtone.output.formats.subtitle_splitting import GAP_MS, MAX_MS, MIN_MS, PAUSE_MS, pieces, reading_ms
from overtone.output.records import expect_type, rounded
from overtone.results import SILENCE, EmotionResult, Result, SegmentResult, Sentence, Transcript
from overtone.types import SAMPLE_RATE

MAX_DELAY_MS = 500
"""Milliseconds by which a cue may begin after its first word, so that the one before it can be read."""


@dataclass(frozen=True, slots=True)
class Cue:
    """One subtitle: text of one line or two, from one millisecond to a later one. `speaker`: 0 for the first to
    speak."""

    start_ms: int
    end_ms: int
    text: str
    speaker: int | None = None

    @property
    def columns(self) -> int:
        """Columns of all that is read, the speaker's name included."""
        lines = self.text.split("\n")
        return text_width(named(self.speaker)) + sum(map(text_width, lines)) + len(lines) - 1


def cues(result: Result) -> Iterator[Cue]:
    """The cues of a result in order of time: its speech with a label and its score, or its sentences.

    They do not overlap: where two speak at once, one ends when the next begins. A cue stays for a while after its last
    word, until it can be read, but not over the next one, and not through a pause.
    """
    end_ms = round(result.duration * 1000)
    if isinstance(result, Transcript):
        spoken = sorted(_spoken(_apart_in_time(result.sentences)), key=lambda cue: cue.start_ms)
        yield from _lasting(_delayed(spoken), end_ms, MAX_MS)
        return
    yield from _lasting(_labels(expect_type(result, EmotionResult)), end_ms, None)


def labelled_stretches(result: EmotionResult) -> Iterator[tuple[str, SegmentResult]]:
    """Label and segment of each stretch of speech that has a label; the label on one line."""
    for segment in result.segments:
        if segment.label is not None and segment.label != SILENCE:
            yield single_line(segment.label), segment


def speaker_name(speaker: int) -> str:
    """A speaker's name for people to read, with the number that records and tables have."""
    return f"Speaker {speaker}"


def named(speaker: int | None) -> str:
    """The words that stand before a speaker's own; none where the speaker is not known."""
    return "" if speaker is None else f"{speaker_name(speaker)}: "


def single_line(text: str) -> str:
    """`text` with single blanks in the place of blanks and line ends."""
    return " ".join(text.split())


def _labels(result: EmotionResult) -> Iterator[tuple[Cue, int]]:
    before = -1
    for label, segment in labelled_stretches(result):
        score = rounded(segment.score)
        # Windows may begin on one millisecond.
        before = start = max(_milliseconds(segment.span.start), before + 1)
        end = max(_milliseconds(segment.span.stop), start)
        yield Cue(start, end, label if score is None else f"{label} {score:.2f}"), 0


def _spoken(sentences: Sequence[Sentence]) -> Iterator[Cue]:
    for place, sentence in enumerate(sentences):
        mood = "" if sentence.emotion is None else f"[{single_line(sentence.emotion.label)}] "
        prefix = text_width(named(sentence.speaker) + mood)
        until = round(sentences[place + 1].start * 1000) if place + 1 < len(sentences) else None
        for piece in pieces(sentence, prefix, until):
            text = piece.text if mood == "" else (mood + piece.text).replace(" \n", "\n", 1)
            yield Cue(piece.start_ms, piece.end_ms, text, sentence.speaker)


def _apart_in_time(sentences: Sequence[Sentence]) -> list[Sentence]:
    """Sentences without times, of which several have one segment's, each with a share of it by its letters."""
    found: list[Sentence] = []
    together: list[Sentence] = []
    for sentence in sentences:
        untimed = bool(sentence.words) and not has_times(sentence)
        if not (untimed and together and sentence.start < max(one.end for one in together)):
            found += _shared(together)
            together = []
        if untimed:
            together.append(sentence)
        else:
            found.append(sentence)
    return found + _shared(together)


def _shared(sentences: Sequence[Sentence]) -> list[Sentence]:
    if len(sentences) < 2:
        return list(sentences)
    start, end = sentences[0].start, max(sentence.end for sentence in sentences)
    lengths = [max(text_width(sentence.text), 1) for sentence in sentences]
    found, done = [], 0
    for sentence, length in zip(sentences, lengths, strict=True):
        edges = (start + (end - start) * letters / sum(lengths) for letters in (done, done + length))
        first, last = edges
        found.append(replace(sentence, start=first, end=last))
        done += length
    return found


def _delayed(ordered: Iterable[Cue]) -> Iterator[tuple[Cue, int]]:
    """Cues that begin one after another, with time for each where the next can wait; and how long it waits.

    After a pause none does.
    """
    before: Cue | None = None
    for cue in ordered:
        start = cue.start_ms
        if before is not None and start - before.end_ms < PAUSE_MS:
            can_wait = min(start + MAX_DELAY_MS, max(start, cue.end_ms - MIN_MS))
            start = max(start, before.start_ms + 1, min(before.start_ms + MIN_MS, can_wait))
        before = replace(cue, start_ms=start, end_ms=max(cue.end_ms, start))
        yield before, start - cue.start_ms


def _lasting(ordered: Iterable[tuple[Cue, int]], last_ms: int, max_ms: int | None) -> Iterator[Cue]:
    """Cues that last until they can be read, or the next begins.

    ordered: they begin one after another, each so many milliseconds after its first word. last_ms: end of the source,
    over which none is drawn out. max_ms: the longest that one may last.
    """
    before: Cue | None = None
    for cue, delay_ms in ordered:
        if before is not None:
            pause_ms = cue.start_ms - delay_ms - before.end_ms
            yield _drawn_out(before, cue.start_ms - (GAP_MS if pause_ms >= PAUSE_MS else 0), last_ms, max_ms)
        before = cue
    if before is not None:
        yield _drawn_out(before, None, last_ms, max_ms)


def _drawn_out(cue: Cue, until_ms: int | None, last_ms: int, max_ms: int | None) -> Cue:
    wanted = max(cue.start_ms + MIN_MS, cue.start_ms + reading_ms(cue.columns))
    end = max(cue.end_ms, min(wanted, last_ms))
    if max_ms is not None:
        end = min(end, cue.start_ms + max_ms)
    if until_ms is not None:
        end = min(end, until_ms)
    # Both forms want a cue to end after it starts.
    return replace(cue, end_ms=max(end, cue.start_ms + 1))


def _milliseconds(samples: int) -> int:
    return (samples * 1000 + SAMPLE_RATE // 2) // SAMPLE_RATE
