"""Results for a person at a terminal: a row for each input as it is done, and its timeline under it."""

from __future__ import annotations

from rich.markup import escape

from overtone.cli import screen
from overtone.values import SILENCE, EmotionResult, Granularity, SegmentResult

_BAR = 20
_SEGMENTS_SHOWN = 12
_COLOURS = {
    "angry": "red",
    "happy": "yellow",
    "sad": "blue",
    "fearful": "magenta",
    "disgusted": "green",
    "surprised": "cyan",
    SILENCE: "bright_black",
}


class TableSink:
    """A sink (see `overtone.formats`) that prints."""

    def __init__(self, granularity: Granularity) -> None:
        self._timeline = granularity != "utterance"

    def write(self, result: EmotionResult) -> None:
        """Print one result."""
        name = escape(screen.printable(result.source))
        channel = "" if result.channel is None else f" [dim]channel {result.channel}[/]"
        if result.error is not None:
            screen.out.print(f"[bold]{name}[/]{channel}  [red]{escape(screen.printable(str(result.error)))}[/]")
            return
        length = screen.duration(result.duration)
        screen.out.print(f"[bold]{name}[/]{channel}  [dim]{length}[/]  {_verdict(result.label, result.score)}")
        for warning in result.warnings:
            screen.out.print(f"  [yellow]{escape(screen.printable(warning))}[/]")
        if self._timeline and len(result.segments) > 1:
            for segment in result.segments[:_SEGMENTS_SHOWN]:
                screen.out.print(_row(segment))
            if (more := len(result.segments) - _SEGMENTS_SHOWN) > 0:
                screen.out.print(f"  [dim]… {more} more; -o timeline.csv or .srt holds them all[/]")

    def close(self) -> None:
        """Nothing is held."""

    def __enter__(self) -> TableSink:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _row(segment: SegmentResult) -> str:
    start, stop = (f"{s:8.1f}" for s in (segment.span.start_s, segment.span.stop_s))
    return f"  [dim]{start} -{stop} s[/]  {_verdict(segment.label, segment.score)}"


def _verdict(label: str | None, score: float | None) -> str:
    if label is None:
        return "[dim]no classes (embeddings only)[/]"
    colour = _COLOURS.get(label, "white")
    if score is None:
        return f"[{colour}]{escape(label)}[/]"
    filled = round(score * _BAR)
    bar = f"[{colour}]{'█' * filled}[/][bright_black]{'░' * (_BAR - filled)}[/]"
    return f"[{colour}]{escape(label):<10}[/] {score:.2f} {bar}"
