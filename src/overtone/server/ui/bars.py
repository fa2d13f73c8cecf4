"""The timeline of a result as stretches to draw, each with what is told of it when it is pointed at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import zip_longest

from overtone.output.plots.curves import Stretch, stretches_of
from overtone.results import EmotionResult, SegmentResult
from overtone.server.ui.texts import Language, emotion, moment, percent, span, text

MOST_STRETCHES = 1200
"""Segments that are drawn each by itself; of more, what fills most of each of some hundred bins."""


@dataclass(frozen=True, slots=True)
class Bar:
    """A stretch of the timeline as it is drawn, from `left` to `right`, in seconds, and what is told of it."""

    label: str
    left: float
    right: float
    told: str


def whole_bar(result: EmotionResult, language: Language) -> list[Bar]:
    """One stretch for all of it, with the answer for all of it; none where there is no answer."""
    if result.label is None:
        return []
    told = _told(language, result.label, 0.0, result.duration, result.scores)
    return [Bar(result.label, 0.0, result.duration, told)]


def bars(result: EmotionResult, language: Language) -> Iterator[Bar]:
    """The stretches of a timeline, silence among them."""
    segments = result.segments
    if len(segments) > MOST_STRETCHES:
        for stretch in stretches_of(segments, result.duration)[0]:
            yield Bar(stretch.label, stretch.start, stretch.stop, _told_stretch(language, stretch))
        return
    before: SegmentResult | None = None
    for segment, after in zip_longest(segments, segments[1:]):
        if segment.label is not None:
            told = _told(language, segment.label, segment.span.start_s, segment.span.stop_s, segment.scores)
            yield Bar(segment.label, *_edges(before, segment, after), told)
        before = segment


def _edges(before: SegmentResult | None, segment: SegmentResult, after: SegmentResult | None) -> tuple[float, float]:
    """Where a segment is drawn: all of it, but where windows overlap, up to the middle of what they share."""
    left, right = segment.span.start_s, segment.span.stop_s
    if before is not None and before.span.stop_s > left:
        left = (left + before.span.stop_s) / 2
    if after is not None and after.span.start_s < right:
        right = (right + after.span.start_s) / 2
    return left, max(left, right)


def _told(language: Language, label: str, start_s: float, stop_s: float, scores: Mapping[str, float] | None) -> str:
    """What hovering tells: the time, the emotion, and the scores of the others."""
    lines = [f"{moment(start_s)} – {moment(stop_s)}", f"<b>{emotion(language, label)}</b>"]
    if scores is not None:
        lines[1] += f" {percent(scores.get(label))}"
        others = sorted(((score, name) for name, score in scores.items() if name != label), reverse=True)
        lines += [f"{emotion(language, name)} {percent(score)}" for score, name in others]
    return "<br>".join(lines)


def _told_stretch(language: Language, stretch: Stretch) -> str:
    width = text(language, "merged", time=span(language, stretch.stop - stretch.start))
    return f"{_told(language, stretch.label, stretch.start, stretch.stop, None)}<br>{width}"
