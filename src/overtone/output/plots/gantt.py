"""Gantt chart of a run: a lane for each thread, its stages in color, time to the right."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from overtone.output.plots.colors import STAGE_COLOURS
from overtone.output.plots.timeline_plot import FAINT, INK, shown_fonts, shown_text, tick_step
from overtone.output.times import rounded_duration
from overtone.system.profiler import STAGES, Interval, Recording, Stage

COLUMNS = 1200
"""Time is drawn in so many columns at the most, about one for a pixel: ten hours take as much as ten seconds."""

MAX_SHOWN = 16
"""Lanes in a picture; those that did most."""

_NAMED = 60
"""Batches that are marked by lines and, where there is room, by their shape; more would only be noise."""

_LANE_INCHES, _TOP_INCHES, _BOTTOM_INCHES = 0.42, 0.74, 0.74
_LEFT, _RIGHT = 0.1, 0.985
_LETTER = 0.0062
"""Width of a small letter, as a share of the picture's."""

_Array = npt.NDArray[np.float64]


def lanes_of(recording: Recording) -> list[str]:
    """The lanes to draw, from the top: those that read, by number, then devices, then callers; at most `MAX_SHOWN`."""

    def busy(lane: str) -> float:
        return sum(recording.total(lane, stage).busy_s for stage in STAGES if stage not in ("wait", "idle"))

    def place(lane: str) -> tuple[int, int, str]:
        name, _, number = lane.rpartition(" ")
        reads, runs = (recording.total(lane, stage).count for stage in ("decode", "run"))
        return (0 if reads else 1 if runs else 2), int(number) if name and number.isdigit() else 0, lane

    return sorted(sorted(recording.lanes, key=busy, reverse=True)[:MAX_SHOWN], key=place)


def columns_of(recording: Recording, lane: str, stage: Stage, columns: int = COLUMNS) -> _Array:
    """The share of each column's time that a lane spent on a stage, (columns,), from the recording's start to its end.

    An interval that was joined of several is spread over its extent.
    """
    width = (recording.stopped - recording.started) / columns
    edges = np.zeros(columns + 1)
    intervals = recording.intervals(lane, stage)
    if not intervals or width <= 0:
        return np.zeros(columns)
    rows = np.array([(interval.start, interval.stop, interval.busy_s) for interval in intervals])
    starts, stops = ((rows[:, i] - recording.started) / width for i in (0, 1))
    # The integral of "busy" up to each edge is piecewise linear, and each interval adds a ramp to it.
    at = np.arange(columns + 1)
    for start, stop, busy in zip(starts, stops, rows[:, 2] / width, strict=True):
        first, last = max(0, int(start)), min(columns, math.ceil(stop))
        inside = at[first : last + 1]
        edges[first : last + 1] += busy * np.clip((inside - start) / max(stop - start, 1e-12), 0, 1)
        edges[last + 1 :] += busy
    shares: _Array = np.clip(np.diff(edges), 0, 1)
    return shares


class Threads:
    """Drawing of one recording into one figure, whose height it sets."""

    def __init__(self, figure: Any, recording: Recording, caption: str) -> None:
        from matplotlib.font_manager import FontProperties

        self._figure = figure
        self._recording = recording
        self._caption = caption
        self._lanes = lanes_of(recording)
        self._length_s = max(recording.stopped - recording.started, 1e-3)
        self._inches = _TOP_INCHES + _BOTTOM_INCHES + _LANE_INCHES * max(2, len(self._lanes))
        families, self._glyphs = shown_fonts()
        self._plain = FontProperties(family=families, size=9)
        self._small = FontProperties(family=families, size=7.5)
        self._tiny = FontProperties(family=families, size=6.5)
        self._bold = FontProperties(family=families, size=12, weight="bold")

    def draw(self) -> None:
        """Lanes, time axis, legend and caption."""
        self._figure.set_size_inches(self._figure.get_figwidth(), self._inches)
        height = self._inches - _TOP_INCHES - _BOTTOM_INCHES
        axes = self._figure.add_axes((_LEFT, _BOTTOM_INCHES / self._inches, _RIGHT - _LEFT, height / self._inches))
        for row, lane in enumerate(self._lanes):
            self._lane(axes, row, lane)
        axes.set_xlim(0, self._length_s)
        axes.set_ylim(len(self._lanes) - 0.45, -0.55)
        self._tidy(axes)
        self._title()
        self._legend()
        self._captions()

    def _lane(self, axes: Any, row: int, lane: str) -> None:
        edges = np.repeat(np.linspace(0, self._length_s, COLUMNS + 1), 2)[1:-1]
        bottom, height = row + 0.4, 0.8
        below: Any = np.zeros(COLUMNS)
        # What works is at the bottom of a column that several stages share, what waits above it.
        for stage in sorted(STAGES, key=lambda stage: stage in ("wait", "idle")):
            shares = columns_of(self._recording, lane, stage)
            if not shares.any():
                continue
            above = np.minimum(below + shares, 1)
            low, high = (np.repeat(bottom - height * side, 2) for side in (below, above))
            axes.fill_between(edges, low, high, color=STAGE_COLOURS[stage], linewidth=0)
            below = above
        self._batches(axes, row, self._recording.intervals(lane, "run"))

    def _batches(self, axes: Any, row: int, intervals: tuple[Interval, ...]) -> None:
        """Draw a line before each batch, and its shape where there is room, as long as there are few."""
        if len(intervals) > _NAMED:
            return
        scale = (_RIGHT - _LEFT) / self._length_s
        for interval in intervals:
            start = interval.start - self._recording.started
            axes.vlines(start, row - 0.4, row + 0.4, color="white", linewidth=0.6)
            if interval.count == 1 and (interval.busy_s * scale) > _LETTER * (len(interval.label) + 1.5):
                middle = start + interval.busy_s / 2
                axes.text(
                    middle, row, self._shown(interval.label), ha="center", va="center", color="white",
                    fontproperties=self._tiny, parse_math=False,
                )  # fmt: skip

    def _tidy(self, axes: Any) -> None:
        from matplotlib.ticker import FuncFormatter, MultipleLocator

        axes.set_facecolor("white")
        axes.set_yticks(range(len(self._lanes)), labels=[self._shown(lane) for lane in self._lanes])
        step = tick_step(self._length_s)
        digits = max(0, -math.floor(math.log10(step) + 1e-9))
        axes.xaxis.set_major_locator(MultipleLocator(step))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{max(value, 0):.{digits}f}"))
        axes.tick_params(colors=FAINT, labelcolor=INK, labelsize=8.5, length=3)
        axes.tick_params(axis="y", length=0)
        for side, spine in axes.spines.items():
            spine.set_visible(side == "bottom")
            spine.set_color("#B5B5B5")
        axes.set_xlabel("seconds", fontproperties=self._plain, color=FAINT)

    def _legend(self) -> None:
        from matplotlib.patches import Patch

        done = [stage for stage in STAGES if self._recording.of(stage).count]
        patches = [Patch(facecolor=STAGE_COLOURS[stage], label=stage) for stage in done]
        if patches:
            self._figure.legend(
                handles=patches, loc="upper left", bbox_to_anchor=(_LEFT, 1 - 0.46 / self._inches), ncols=len(patches),
                frameon=False, prop=self._plain, labelcolor=INK, handlelength=1.2, handleheight=1.0, columnspacing=1.6,
                borderaxespad=0, borderpad=0,
            )  # fmt: skip

    def _title(self) -> None:
        """Draw the title and, right, the share of time that the model ran: how well all else is hidden behind it."""
        at = 1 - 0.32 / self._inches
        style: dict[str, Any] = {"fontproperties": self._bold, "color": INK, "parse_math": False}
        self._figure.text(_LEFT, at, "who did what, when", **style)
        models = max(1, sum(bool(self._recording.total(lane, "run").count) for lane in self._recording.lanes))
        share = self._recording.of("run").busy_s / models / self._length_s
        self._figure.text(
            _RIGHT, at, f"the model ran {100 * share:.0f} % of {self._length_s:.3g} s", ha="right", **style
        )

    def _captions(self) -> None:
        parts = ["Overtone", *filter(None, [self._caption])]
        if self._recording.resolution_s:
            parts.append(f"what is shorter than {rounded_duration(self._recording.resolution_s)} is drawn by its share")
        if (more := len(self._recording.lanes) - len(self._lanes)) > 0:
            parts.append(f"{more} more lanes not shown")
        self._figure.text(
            _LEFT, 0.09 / self._inches, self._shown(" · ".join(parts)), fontproperties=self._small, color=FAINT,
            parse_math=False,
        )  # fmt: skip

    def _shown(self, text: str) -> str:
        return shown_text(text, self._glyphs)
