"""Results for a person at a terminal: a row for each input as it is done, and its timeline under it."""

from __future__ import annotations

from rich.markup import escape

from overtone.cli import console
from overtone.output.formats.sink import Closing
from overtone.output.plots.colors import terminal_color
from overtone.output.records import expect_type
from overtone.output.times import duration
from overtone.types import EmotionResult, Granularity, Result, SegmentResult

_BAR = 20
_SEGMENTS_SHOWN = 12


def heading(result: Result) -> str:
    """The markup of what a result is of, and how long that is or what was wrong with it."""
    channel = "" if result.channel is None else f" [dim]channel {result.channel}[/]"
    name = f"[bold]{escape(console.printable(result.source))}[/]{channel}"
    if result.error is not None:
        return f"{name}  [red]{escape(console.printable(str(result.error)))}[/]"
    return f"{name}  [dim]{duration(result.duration)}[/]"


def show_warnings(result: Result) -> None:
    """What was wrong with the source and did not stop it."""
    for warning in result.warnings:
        console.out.print(f"  [yellow]{escape(console.printable(warning))}[/]")


class TableSink(Closing):
    """A sink (see `overtone.output.formats`) that prints."""

    def __init__(self, granularity: Granularity) -> None:
        self._timeline = granularity != "utterance"

    def write(self, result: Result) -> None:
        """Print one result."""
        told = expect_type(result, EmotionResult)
        if not told.ok:
            console.out.print(heading(told))
            return
        console.out.print(f"{heading(told)}  {_verdict(told.label, told.score)}")
        show_warnings(told)
        if self._timeline and len(told.segments) > 1:
            for segment in told.segments[:_SEGMENTS_SHOWN]:
                console.out.print(_row(segment))
            if (more := len(told.segments) - _SEGMENTS_SHOWN) > 0:
                console.out.print(f"  [dim]… {more} more; -o timeline.csv or .srt holds them all[/]")

    def close(self) -> None:
        """Nothing is held."""


def _row(segment: SegmentResult) -> str:
    start, stop = (f"{s:8.1f}" for s in (segment.span.start_s, segment.span.stop_s))
    return f"  [dim]{start} -{stop} s[/]  {_verdict(segment.label, segment.score)}"


def _verdict(label: str | None, score: float | None) -> str:
    if label is None:
        return "[dim]no classes (embeddings only)[/]"
    hue = terminal_color(label)
    if score is None:
        return f"[{hue}]{escape(label)}[/]"
    filled = round(score * _BAR)
    bar = f"[{hue}]{'█' * filled}[/][bright_black]{'░' * (_BAR - filled)}[/]"
    return f"[{hue}]{escape(label):<10}[/] {score:.2f} {bar}"
