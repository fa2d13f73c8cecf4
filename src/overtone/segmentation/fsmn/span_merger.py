"""Neighbouring segments joined to longer ones, as FunASR's `merge_vad` joins them, while the stream goes on.

What is joined are all stretches between edges of segments, those without speech too: from where the last piece ended as
far as the next edge is less than `merge_ms` away, and at least to the first edge. The first piece begins with the
stream. So the pieces leave out only what follows the last segment.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MergedSpan:
    """Half-open, in ms. `speech`: whether there is a segment in it."""

    start_ms: int
    stop_ms: int
    speech: bool


class SpanMerger:
    """Takes the edges of segments in order, and gives each piece as soon as nothing that may follow can change it."""

    def __init__(self, merge_ms: float) -> None:
        self._merge_ms = merge_ms
        self._last = 0  # the latest edge
        self._heard = 0  # the latest edge at which speech ended
        self.segments = 0
        """Begun so far."""
        self.begin_ms = 0
        """Where the next piece begins."""

    @property
    def empty(self) -> bool:
        """Whether there is no edge yet after the beginning of the next piece."""
        return self._last <= self.begin_ms

    def start(self, at_ms: int) -> list[MergedSpan]:
        """A segment begins."""
        self.segments += 1
        pieces = self.advance_to(at_ms)
        self._last = at_ms
        return pieces

    def end(self, at_ms: int) -> list[MergedSpan]:
        """It ends."""
        pieces = self.advance_to(at_ms)
        self._last = self._heard = at_ms
        return pieces

    def advance_to(self, at_ms: int) -> list[MergedSpan]:
        """No further edge comes before this."""
        if at_ms - self.begin_ms < self._merge_ms:
            return []
        return self.finish()

    def finish(self) -> list[MergedSpan]:
        """No further edge comes at all."""
        if self.empty:
            return []
        piece = MergedSpan(self.begin_ms, self._last, self._heard > self.begin_ms)
        self.begin_ms = self._last
        return [piece]


def merged(spans: Iterable[tuple[int, int]], merge_ms: float) -> list[tuple[int, int]]:
    """FunASR's `merge_vad`. spans: half-open, in order and apart, in ms. A single one stays as it is."""
    spans = list(spans)
    if len(spans) < 2:
        return spans
    merger = SpanMerger(merge_ms)
    pieces = [piece for start, end in spans for piece in merger.start(start) + merger.end(end)]
    return [(piece.start_ms, piece.stop_ms) for piece in pieces + merger.finish()]
