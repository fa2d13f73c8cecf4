"""Table for a person at a terminal: a row for each input as it is done, and its timeline under it."""

from __future__ import annotations

from overtone.cli import console
from overtone.output.formats.sink import Closing
from overtone.output.plots.colors import terminal_color
from overtone.output.records import expect_type
from overtone.output.shares import shares_text
from overtone.output.times import duration
from overtone.results import EmotionResult, Result, SegmentResult
from overtone.types import Granularity

_BAR = 20
_SEGMENTS_SHOWN = 12


def heading(result: Result) -> str:
    """Markup of the name of a result's source, with its duration or its error."""
    channel = "" if result.channel is None else f" [dim]channel {result.channel}[/]"
    name = f"[bold]{console.shown(result.source)}[/]{channel}"
    if result.error is not None:
        return f"{name}  [red]{console.shown(str(result.error))}[/]"
    return f"{name}  [dim]{duration(result.duration)}[/]"


def show_warnings(result: Result) -> None:
    """Print the warnings of a source that was processed all the same, once however many channels it has."""
    if result.channel in (None, 0):
        for warning in result.warnings:
            console.out.print(f"  [yellow]{console.shown(warning)}[/]")


class TableSink(Closing):
    """A sink (`overtone.output.formats`) that prints emotions."""

    def __init__(self, granularity: Granularity) -> None:
        self._timeline = granularity != "utterance"

    def write(self, result: Result) -> None:
        """Print one result."""
        emotion = expect_type(result, EmotionResult)
        if not emotion.ok:
            console.out.print(heading(emotion))
            return
        console.out.print(f"{heading(emotion)}  {_verdict(emotion.label, emotion.score)}")
        if emotion.shares and len(emotion.segments) > 1:
            console.out.print(f"  {console.shown(shares_text(emotion.shares, emotion.speech_s))}")
        show_warnings(emotion)
        if self._timeline and len(emotion.segments) > 1:
            for segment in emotion.segments[:_SEGMENTS_SHOWN]:
                console.out.print(_row(segment))
            if (more := len(emotion.segments) - _SEGMENTS_SHOWN) > 0:
                console.out.print(f"  [dim]… {more} more; -o timeline.csv or .srt holds them all[/]")

    def close(self) -> None:
        """Close nothing: every row is printed already."""


def _row(segment: SegmentResult) -> str:
    start, stop = (f"{s:8.1f}" for s in (segment.span.start_s, segment.span.stop_s))
    return f"  [dim]{start} -{stop} s[/]  {_verdict(segment.label, segment.score)}"


def _verdict(label: str | None, score: float | None) -> str:
    if label is None:
        return "[dim]no classes (embeddings only)[/]"
    hue = terminal_color(label)
    if score is None:
        return f"[{hue}]{console.shown(label)}[/]"
    filled = round(score * _BAR)
    bar = f"[{hue}]{'█' * filled}[/][bright_black]{'░' * (_BAR - filled)}[/]"
    return f"[{hue}]{console.shown(label):<10}[/] {score:.2f} {bar}"
