"""NIST RTTM: turns of speakers, or of emotions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from overtone.errors import Code, UsageError
from overtone.output.formats.file_names import OutputNames
from overtone.output.formats.output_file import Place, Target
from overtone.output.formats.sink import TextSink
from overtone.output.formats.subtitles import labelled_stretches, speaker_name
from overtone.output.records import SECOND_DIGITS, expect_type, rounded
from overtone.results import EmotionResult, Result, Transcript
from overtone.wording import param

NO_SPEAKERS = f"RTTM says who speaks when; ask for that with {param('speakers', True)}, or choose another format."

BRIDGED_S = 0.3
"""Seconds of a pause below which a speaker's turn goes on (NIST's Rich Transcription evaluations)."""


class Rttm(TextSink):
    """RTTM lines of all inputs: a line for each turn of a speaker; of emotions, the label stands for the speaker.

    The file field is the input's id or the stem of its name, `-2` after it for a second input of that stem.
    Fields hold no blanks; those in names and labels become `_`. Channels count from 1.
    """

    def __init__(self, path: Place) -> None:
        super().__init__(Target(path))
        self._names = OutputNames()

    def _put(self, result: Result) -> None:
        if not result.ok:
            return
        name = self._names.of_source(result)
        channel = 1 if result.channel is None else result.channel + 1
        for turn in _turns(result):
            score = "<NA>" if turn.score is None else f"{turn.score:.6f}"
            self._target.write(
                f"SPEAKER {name} {channel} {turn.start_s:.3f} {turn.length_s:.3f} <NA> <NA> "
                f"{turn.label.replace(' ', '_')} {score} <NA>\n"
            )


@dataclass(frozen=True, slots=True)
class _Turn:
    start_s: float
    end_s: float
    label: str
    score: float | None = None

    @property
    def length_s(self) -> float:
        return self.end_s - self.start_s


def _turns(result: Result) -> Iterator[_Turn]:
    if isinstance(result, Transcript):
        yield from _speakers(result)
        return
    for label, segment in labelled_stretches(expect_type(result, EmotionResult)):
        yield _Turn(segment.span.start_s, segment.span.stop_s, label, rounded(segment.score))


def _speakers(result: Transcript) -> Iterator[_Turn]:
    """Turns of a transcript: sentences by one speaker with hardly a pause between. UsageError without speakers."""
    if result.speakers is None:
        raise UsageError(NO_SPEAKERS, code=Code.NO_SPEAKERS)
    turn: _Turn | None = None
    for sentence in result.sentences:
        if sentence.speaker is None:
            continue
        start = round(sentence.start, SECOND_DIGITS)
        end = max(round(sentence.end, SECOND_DIGITS), start + 10**-SECOND_DIGITS)
        label = speaker_name(sentence.speaker)
        if turn is not None and turn.label == label and start < turn.end_s + BRIDGED_S:
            turn = replace(turn, end_s=max(turn.end_s, end))
            continue
        if turn is not None:
            yield turn
        turn = _Turn(start, end, label)
    if turn is not None:
        yield turn
