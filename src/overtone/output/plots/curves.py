"""Points of a plot, few enough to draw: pure functions from a result to arrays."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from overtone.output.times import rounded_duration
from overtone.results import EmotionResult, FrameResult, SegmentResult
from overtone.system.spooled_array import SpooledArray
from overtone.types import SAMPLE_RATE

WAVEFORM_POINTS = 2400
SCORE_POINTS = 1200
TIMELINE_STRETCHES = 400
"""More segments than this are summed up; narrower than some three pixels, colors turn to noise."""

SMOOTH_S = 0.5
"""Frame scores are averaged over at least this; single frames of 20 ms flicker."""

SMOOTH_SHARE = 1 / 200
"""And over at least this share of the whole, about what an eye resolves in the picture."""

_Array = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True, eq=False)
class Curves:
    """Class scores over time. `times`: (n,) seconds; `scores`: (n, classes), NaN in rows without speech."""

    labels: tuple[str, ...]
    times: _Array
    scores: _Array
    note: str


@dataclass(frozen=True, slots=True)
class Stretch:
    """A label from `start` to `stop`, in seconds."""

    label: str
    start: float
    stop: float


def curves_of(result: EmotionResult) -> Curves | None:
    """The scores of frames, smoothed, or else of segments, as steps; None where there are none."""
    frames = result.frames
    if frames is not None and frames.scores is not None and len(frames.starts):
        return _frame_curves(frames, frames.scores, result.duration)
    return _segment_steps(result)


def _segment_steps(result: EmotionResult) -> Curves | None:
    scored = [segment for segment in result.segments if segment.scores]
    if not scored:
        return None
    labels = tuple(scored[0].scores or ())
    if len(scored) > SCORE_POINTS:
        return _segment_bins(scored, labels, result.duration)
    gap = [math.nan] * len(labels)
    times: list[float] = []
    rows: list[list[float]] = []
    for segment in scored:
        start, stop = segment.span.start_s, segment.span.stop_s
        row = [(segment.scores or {}).get(label, 0.0) for label in labels]
        times += [start, start, stop, stop]
        rows += [gap, row, row, gap] if not times[:-4] or times[-5] < start else [row, row, row, gap]
    return Curves(labels, np.array(times), np.array(rows), "scores of segments")


def _segment_bins(scored: Sequence[SegmentResult], labels: tuple[str, ...], duration: float) -> Curves:
    """Means over bins, weighted by the time that each segment has in them."""
    width = duration / SCORE_POINTS
    sums, filled = np.zeros((SCORE_POINTS, len(labels))), np.zeros(SCORE_POINTS)
    for segment in scored:
        row = np.fromiter((segment.scores or {}).values(), np.float64)
        for at, overlap in _overlaps(segment.span.start_s, segment.span.stop_s, width, SCORE_POINTS):
            sums[at] += overlap * row
            filled[at] += overlap
    with np.errstate(invalid="ignore", divide="ignore"):
        means = sums / filled[:, None]
    means[filled == 0] = math.nan
    edges = np.repeat(np.arange(SCORE_POINTS + 1) * width, 2)[1:-1]
    note = f"scores of segments, mean over {rounded_duration(width)}"
    return Curves(labels, edges, np.repeat(means, 2, axis=0), note)


def _overlaps(start: float, stop: float, width: float, count: int) -> Iterator[tuple[int, float]]:
    """The bins of `width` that a stretch lies in, and how much of it lies in each."""
    at = int(start / width)
    while at < count and at * width < stop:
        yield at, max(0.0, min(stop, (at + 1) * width) - max(start, at * width))
        at += 1


def _frame_curves(frames: FrameResult, scores: SpooledArray, duration: float) -> Curves:
    """Means over bins, then over a window of bins, weighted by frames; memory by bins, not by frames."""
    # Two hops at least, or rounding leaves some bins without a frame.
    width = max(2 * frames.hop_s, duration / SCORE_POINTS)
    count = max(1, math.ceil(duration / width - 1e-9))
    sums = np.zeros((count, len(frames.labels)))
    hits = np.zeros(count)
    for starts, rows in zip(frames.starts.chunks(), scores.chunks(), strict=True):
        bins = np.clip(((starts / SAMPLE_RATE + frames.hop_s / 2) / width).astype(int), 0, count - 1)
        np.add.at(sums, bins, rows)
        np.add.at(hits, bins, 1)
    window = min(count, max(1, round(max(SMOOTH_S, duration * SMOOTH_SHARE) / width)) | 1)
    spoken = hits > 0
    with np.errstate(invalid="ignore"):
        means = _moving_sum(sums, window) / _moving_sum(hits[:, None], window)
    means[~spoken] = math.nan
    times = (np.arange(count) + 0.5) * width
    # A bin stands for its whole width, so that stretches of a single bin are seen, and gaps end sharply.
    note = f"frame scores, mean over {rounded_duration(min(duration, window * width))}"
    edges = np.column_stack([times - width / 2, times + width / 2]).ravel()
    return Curves(frames.labels, edges, np.repeat(means, 2, axis=0), note)


def _moving_sum(rows: _Array, window: int) -> _Array:
    total = np.vstack([np.zeros((1, rows.shape[1])), np.cumsum(rows, axis=0)])
    at = np.arange(len(rows))
    first, last = np.maximum(at - window // 2, 0), np.minimum(at + window // 2 + 1, len(rows))
    sums: _Array = total[last] - total[first]
    return sums


def thin_envelope(envelope: _Array, points: int = WAVEFORM_POINTS) -> _Array:
    """At most `points` rows of (lowest, highest), each over as many rows of `envelope`, shape (n, 2)."""
    if len(envelope) <= points:
        return envelope
    firsts = np.linspace(0, len(envelope), points, endpoint=False).astype(int)
    low = np.minimum.reduceat(envelope[:, 0], firsts)
    high = np.maximum.reduceat(envelope[:, 1], firsts)
    return np.column_stack([low, high])


def stretches_of(segments: Sequence[SegmentResult], duration: float) -> tuple[list[Stretch], float]:
    """The stretches with labels in order and 0; or, of very many segments, the label that fills most of each bin
    and the width of those bins in seconds.
    """
    labelled = [
        Stretch(segment.label, segment.span.start_s, segment.span.stop_s)
        for segment in segments
        if segment.label is not None
    ]
    if len(labelled) <= TIMELINE_STRETCHES:
        return labelled, 0.0
    width = duration / TIMELINE_STRETCHES
    names = sorted({stretch.label for stretch in labelled})
    filled = np.zeros((TIMELINE_STRETCHES, len(names)))
    for stretch in labelled:
        for at, overlap in _overlaps(stretch.start, stretch.stop, width, TIMELINE_STRETCHES):
            filled[at, names.index(stretch.label)] += overlap
    bins = [
        Stretch(names[int(row.argmax())], at * width, (at + 1) * width) for at, row in enumerate(filled) if row.any()
    ]
    return bins, width
