"""Transcripts for a person at a terminal: a line for each sentence, its text wrapped beside its time and speaker."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

from rich.table import Table
from rich.text import Text

from overtone.cli import console
from overtone.cli.emotion_table import heading, show_warnings
from overtone.output.formats.sink import Closing
from overtone.output.formats.subtitles import single_line, speaker_name
from overtone.output.plots.colors import terminal_color
from overtone.output.records import expect_type
from overtone.output.times import clock
from overtone.results import Result, Sentence, Transcript

_AT_ONCE = 50
_HEARD_COLUMNS = 16
_VOICES = ("cyan", "magenta", "green", "yellow", "blue", "red")


class TranscriptTable(Closing):
    """A sink (`overtone.output.formats`) that prints transcripts."""

    def write(self, result: Result) -> None:
        """Print one transcript."""
        transcript = expect_type(result, Transcript)
        if not transcript.ok:
            console.out.print(heading(transcript))
            return
        console.out.print(f"{heading(transcript)}[dim]{_about(transcript)}[/]")
        show_warnings(transcript)
        shown: Iterator[Sentence] = (s for s in transcript.sentences if s.text or s.event)
        widths = _widths(transcript.sentences)
        # In pieces, as a table is laid out in memory as a whole.
        while some := list(islice(shown, _AT_ONCE)):
            console.out.print(_table(some, widths))

    def close(self) -> None:
        """Close nothing: every row is printed already."""


def _about(result: Transcript) -> str:
    if not any(sentence.text for sentence in result.sentences) and not result.text:
        return "  nobody speaks"
    language = "" if result.language is None else f"  {result.language}"
    if result.speakers is None:
        return language
    return f"{language}  {result.speakers} speaker{'' if result.speakers == 1 else 's'}"


def _widths(sentences: Sequence[Sentence]) -> list[int]:
    """Columns of time, speaker and emotion or event; 0 for a part that no sentence has."""
    widths = [0, 0, 0]
    for sentence in sentences:
        for at, text in enumerate(_cells(sentence)[:-1]):
            widths[at] = max(widths[at], text.cell_len)
    return [*widths[:2], min(widths[2], _HEARD_COLUMNS)]


def _table(sentences: Sequence[Sentence], widths: Sequence[int]) -> Table:
    table = Table(box=None, show_header=False, padding=(0, 0, 0, 2), pad_edge=True, expand=True)
    for at, width in enumerate(widths):
        if width:
            table.add_column(width=width, justify="right" if at == 0 else "left")
    table.add_column(ratio=1, overflow="fold")
    for sentence in sentences:
        *few, text = _cells(sentence)
        table.add_row(*(cell for cell, width in zip(few, widths, strict=True) if width), text)
    return table


def _cells(sentence: Sentence) -> tuple[Text, Text, Text, Text]:
    """Time, speaker, emotion and event, text."""
    speaker, heard = Text(), Text()
    if sentence.speaker is not None:
        speaker = Text(speaker_name(sentence.speaker), style=_VOICES[sentence.speaker % len(_VOICES)])
    if sentence.emotion is not None:
        heard.append(_shown(sentence.emotion.label), style=terminal_color(sentence.emotion.label))
    if sentence.event is not None:
        heard.append((" " if heard else "") + _shown(sentence.event), style="dim")
    return Text(clock(sentence.start, 1), style="dim"), speaker, heard, Text(_shown(sentence.text))


def _shown(text: str) -> str:
    """Text on one line without characters that would steer a terminal."""
    return console.for_terminal(single_line(text))
