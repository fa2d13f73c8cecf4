"""Neighboring segments joined to longer ones, as FunASR's `merge_vad` joins them, while the stream goes on.

All stretches between edges of segments are joined, those without speech too: from the end of the last merged span as
far as the next edge is less than `merge_ms` away, and at least to the first edge. The first merged span begins with
the stream. So the merged spans leave out only the audio after the last segment.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MergedSpan:
    """Half-open span in ms. `speech`: True if there is a segment in it."""

    start_ms: int
    stop_ms: int
    speech: bool


class SpanMerger:
    """Streaming merger: takes edges in order, gives each merged span as soon as no later edge can change it."""

    def __init__(self, merge_ms: float) -> None:
        self._merge_ms = merge_ms
        self._last = 0  # the latest edge
        self._heard = 0  # the latest edge at which speech ended
        self.segments = 0
        """Segments begun so far."""
        self.begin_ms = 0
        """Start of the next merged span."""

    @property
    def empty(self) -> bool:
        """True while there is no edge after the start of the next merged span."""
        return self._last <= self.begin_ms

    def start(self, at_ms: int) -> list[MergedSpan]:
        """Add the start of a segment."""
        self.segments += 1
        pieces = self.advance_to(at_ms)
        self._last = at_ms
        return pieces

    def end(self, at_ms: int) -> list[MergedSpan]:
        """Add the end of a segment."""
        pieces = self.advance_to(at_ms)
        self._last = self._heard = at_ms
        return pieces

    def advance_to(self, at_ms: int) -> list[MergedSpan]:
        """Note that no further edge comes before this."""
        if at_ms - self.begin_ms < self._merge_ms:
            return []
        return self.finish()

    def finish(self) -> list[MergedSpan]:
        """Note that no further edge comes at all."""
        if self.empty:
            return []
        piece = MergedSpan(self.begin_ms, self._last, self._heard > self.begin_ms)
        self.begin_ms = self._last
        return [piece]


def merged(spans: Iterable[tuple[int, int]], merge_ms: float) -> list[tuple[int, int]]:
    """Merge spans, half-open, in order and apart, in ms, by FunASR's `merge_vad`. A single one stays as it is."""
    spans = list(spans)
    if len(spans) < 2:
        return spans
    merger = SpanMerger(merge_ms)
    pieces = [piece for start, end in spans for piece in merger.start(start) + merger.end(end)]
    return [(piece.start_ms, piece.stop_ms) for piece in pieces + merger.finish()]
