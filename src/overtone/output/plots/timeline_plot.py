"""One result drawn into one figure."""

from __future__ import annotations

import math
import os
import unicodedata
from collections.abc import Sequence
from typing import Any

import numpy as np

from overtone.output.plots.colors import color_of, short_label
from overtone.output.plots.curves import curves_of, stretches_of, thin_envelope
from overtone.output.shares import LEAST
from overtone.output.times import clock, rounded_duration
from overtone.results import SILENCE, EmotionResult

MAX_TITLE = 54
"""Latin letters that fit beside the top label; an ideograph counts as two."""

_MIN_S = 0.02
"""No picture shows less, so that its time axis has a length."""

INK, FAINT = "#2B2B2B", "#6E6E6E"

_HATCH: dict[str, Any] = {"facecolor": "#F4F4F4", "edgecolor": "#CFCFCF", "hatch": "////", "linewidth": 0}

_CJK_FONTS = (
    "Noto Sans CJK SC", "Noto Sans SC", "Source Han Sans SC", "WenQuanYi Micro Hei", "Microsoft YaHei",
    "SimHei", "PingFang SC", "Hiragino Sans GB", "Arial Unicode MS", "Droid Sans Fallback",
)  # fmt: skip


class Picture:
    """Drawing of one result into one figure."""

    def __init__(self, figure: Any, result: EmotionResult) -> None:
        from matplotlib.font_manager import FontProperties

        self._figure = figure
        self._result = result
        self._end = max(result.duration, _MIN_S)
        self._curves = curves_of(result)
        self._stretches, self._bin_s = stretches_of(result.segments, self._end)
        families, self._glyphs = shown_fonts()
        self._plain = FontProperties(family=families, size=9)
        self._small = FontProperties(family=families, size=7.5)
        self._bold = FontProperties(family=families, size=12, weight="bold")

    def draw(self) -> None:
        """Draw both panels, title, legend and caption."""
        grid = self._figure.add_gridspec(
            2,
            1,
            height_ratios=(1, 1) if self._curves else (5, 1),
            hspace=0.12,
            left=0.065,
            right=0.845,
            top=0.885,
            bottom=0.135,
        )
        top = self._figure.add_subplot(grid[0])
        bottom = self._figure.add_subplot(grid[1], sharex=top)
        self._waveform(top)
        self._scores(bottom)
        for axes in (top, bottom):
            self._tidy(axes)
        top.tick_params(labelbottom=False)
        self._time_axis(bottom)
        self._title()
        self._legend()
        self._caption()

    def _waveform(self, axes: Any) -> None:
        envelope = self._result.envelope
        if envelope is None or not len(envelope):
            envelope = np.zeros((1, 2), np.float32)
        rows = thin_envelope(envelope)
        peak = float(np.abs(rows).max()) * 1.12 or 1.0
        self._spans(axes, peak)
        # Each row stands at the middle of its stretch; the first and the last reach to the ends.
        end = self._end
        times = np.concatenate([[0.0], (np.arange(len(rows)) + 0.5) * end / len(rows), [end]])
        low, high = (np.pad(rows[:, side], 1, mode="edge") for side in (0, 1))
        axes.fill_between(times, low, high, color=INK, linewidth=0.4, zorder=3)
        axes.set_ylim(-peak, peak)
        axes.set_yticks([])
        self._label(axes.set_ylabel, "waveform")

    def _spans(self, axes: Any, peak: float) -> None:
        """Draw color behind the waveform, and strong along the bottom, one collection per label."""
        by_label: dict[str, list[tuple[float, float]]] = {}
        for stretch in self._stretches:
            by_label.setdefault(stretch.label, []).append((stretch.start, stretch.stop - stretch.start))
        for label, spans in by_label.items():
            if label == SILENCE:
                axes.broken_barh(spans, (-peak, 2 * peak), **_HATCH)
                continue
            colour = color_of(label)
            axes.broken_barh(spans, (-peak, 2 * peak), facecolor=colour, alpha=0.38, linewidth=0)
            axes.broken_barh(spans, (-peak, 0.13 * peak), facecolor=colour, linewidth=0, zorder=4)

    def _scores(self, axes: Any) -> None:
        curves = self._curves
        axes.set_ylim(0, 1)
        if curves is None:
            axes.set_yticks([])
            classless = self._result.label is None
            self._note(axes, "no classes: this model gives embeddings only" if classless else "no speech")
            return
        spoken = ~np.isnan(curves.scores).any(axis=1)
        tops = np.cumsum(np.nan_to_num(curves.scores), axis=1)
        below: Any = np.zeros(len(tops))
        for column, label in enumerate(curves.labels):
            axes.fill_between(curves.times, below, tops[:, column], where=spoken, color=color_of(label), linewidth=0)
            below = tops[:, column]
        axes.set_yticks([0, 0.5, 1], labels=["0", "0.5", "1"])
        self._label(axes.set_ylabel, "scores, stacked")

    def _tidy(self, axes: Any) -> None:
        axes.set_xlim(0, self._end)
        axes.set_facecolor("white")
        axes.tick_params(colors=FAINT, labelcolor=INK, labelsize=8.5, length=3)
        for side, spine in axes.spines.items():
            spine.set_visible(side in ("left", "bottom"))
            spine.set_color("#B5B5B5")

    def _time_axis(self, axes: Any) -> None:
        from matplotlib.ticker import FuncFormatter, MultipleLocator

        step = tick_step(self._end)
        digits = decimals_of(step)
        axes.xaxis.set_major_locator(MultipleLocator(step))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: clock(max(value, 0), digits)))
        self._label(axes.set_xlabel, "time")

    def _title(self) -> None:
        result = self._result
        name = result.source if "://" in result.source else os.path.basename(result.source) or result.source
        name = "standard input" if name == "-" else _shortened(name, MAX_TITLE)
        if result.channel is not None:
            name += f", channel {result.channel}"
        self._text(0.065, 0.925, name, self._bold, color=INK)
        top_label = "" if result.label is None else short_label(result.label)
        if result.score is not None:
            top_label += f" {result.score:.2f}"
        self._text(0.845, 0.925, top_label, self._bold, color=INK, ha="right")

    def _legend(self) -> None:
        from matplotlib.patches import Patch

        labels: Sequence[str] = self._curves.labels if self._curves else tuple(self._result.scores or ())
        # As they are stacked, from the top down.
        patches = [Patch(facecolor=color_of(label), label=self._shown(self._share(label))) for label in labels][::-1]
        if any(segment.label == SILENCE for segment in self._result.segments):
            patches.append(Patch(label=SILENCE, **_HATCH))
        if not patches:
            return
        legend = self._figure.legend(
            handles=patches, loc="upper left", bbox_to_anchor=(0.855, 0.9), frameon=False, prop=self._plain,
            labelcolor=INK, handlelength=1.2, handleheight=1.0,
        )  # fmt: skip
        for text in legend.get_texts():
            text.set_parse_math(False)

    def _share(self, label: str) -> str:
        """The label's name, with its share of the speaking time where it has some."""
        share = (self._result.shares or {}).get(label, 0.0)
        return short_label(label) if share < LEAST else f"{short_label(label)} {share:.0%}"

    def _caption(self) -> None:
        result = self._result
        parts = [f"model {result.model}", result.precision, result.device, self._length()]
        if self._curves:
            parts.append(self._curves.note)
        if self._bin_s:
            parts.append(f"colours: what fills most of each {rounded_duration(self._bin_s)}")
        self._text(0.065, 0.025, "Overtone · " + " · ".join(parts), self._small, color=FAINT)

    def _length(self) -> str:
        seconds = self._result.duration
        return f"{seconds:.2f} s" if seconds < 60 else f"{clock(seconds)} long"

    def _text(self, x: float, y: float, text: str, font: Any, **style: Any) -> None:
        self._figure.text(x, y, self._shown(text), fontproperties=font, parse_math=False, **style)

    def _label(self, put: Any, text: str) -> None:
        put(text, fontproperties=self._plain, color=FAINT)

    def _note(self, axes: Any, text: str) -> None:
        axes.text(
            0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", fontproperties=self._plain,
            color=FAINT, parse_math=False,
        )  # fmt: skip

    def _shown(self, text: str) -> str:
        return shown_text(text, self._glyphs)


def shown_text(text: str, glyphs: set[int]) -> str:
    """`text` with a box for each character that no font here can draw, so that nothing is missing unseen."""
    return "".join(c if ord(c) in glyphs else "\u25a1" for c in text)


def shown_fonts() -> tuple[list[str], set[int]]:
    """The families to draw text with, those that are installed, and the characters they have."""
    from matplotlib.font_manager import fontManager, get_font

    installed = {entry.name: entry.fname for entry in fontManager.ttflist}
    families = ["DejaVu Sans", *(name for name in _CJK_FONTS if name in installed)]
    glyphs: set[int] = set()
    for name in families:
        glyphs |= get_font(installed[name]).get_charmap().keys()
    return families, glyphs


def tick_step(seconds: float) -> float:
    """The distance of ticks that makes about ten, in numbers that people count time in."""
    steps = (
        0.005,
        0.01,
        0.02,
        0.05,
        0.1,
        0.2,
        0.5,
        1,
        2,
        5,
        10,
        15,
        30,
        60,
        120,
        300,
        600,
        900,
        1800,
        3600,
        7200,
    )
    for step in steps:
        if seconds / step <= 11:
            return step
    return 7200.0 * math.ceil(seconds / 7200 / 11)


def _shortened(text: str, max_letters: int) -> str:
    """`text` with its middle left out if it is wider than `max_letters`."""
    keep = len(text)
    short = text
    while _width(short) > max_letters:
        keep -= 1
        short = f"{text[: (keep + 1) // 2]}…{text[len(text) - keep // 2 :]}"
    return short


def _width(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def decimals_of(step_s: float) -> int:
    """Decimals of seconds that tell ticks so far apart."""
    return max(0, -math.floor(math.log10(step_s) + 1e-9)) if step_s < 1 else 0
