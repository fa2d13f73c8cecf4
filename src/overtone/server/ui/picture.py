"""One result as a Plotly figure: the waveform on its emotions, and with frames the scores over time.

A figure is the plain JSON that Plotly's JavaScript takes (data, layout, config), so Plotly's Python package is not
needed. The number of points is bounded, so an hour draws as fast as a minute.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from overtone.output.plots import color_of
from overtone.output.plots.curves import Curves, curves_of
from overtone.results import SILENCE, EmotionResult
from overtone.server.ui.bars import Bar, bars, whole_bar
from overtone.server.ui.kept import ENVELOPE_ROWS
from overtone.server.ui.texts import TAGS, Language, emotion, text

_FAINT = 0.38
"""How strong an emotion's colour is behind the waveform: as in the pictures on disk."""

_STRIP = 0.13
"""The share of the height, at the bottom, where the colour is full."""

_SHORTEST_S = 0.02

_PARTS = {"dtickrange": [None, 100], "value": "%-M:%S.%2f"}
_TENTHS = {"dtickrange": [100, 1000], "value": "%-M:%S.%1f"}
_SECONDS = {"dtickrange": [1000, None], "value": "%-M:%S"}
_HOURS = {"dtickrange": [1000, None], "value": "%-H:%M:%S"}
_HOUR_S = 3600.0


@dataclass(frozen=True, slots=True)
class Look:
    """How it is to look. touched: it is used with a finger, which is to scroll the page and not the picture."""

    language: Language = "en"
    dark: bool = False
    touched: bool = False

    @property
    def ink(self) -> str:
        """The colour of the waveform."""
        return "#E6E9EF" if self.dark else "#33373D"

    @property
    def faint(self) -> str:
        """The colour of axes and their text."""
        return "#9AA3B2" if self.dark else "#667080"

    @property
    def line(self) -> str:
        """The colour of lines that should hardly be seen."""
        return "#333B4A" if self.dark else "#E3E6EB"


def figure(result: EmotionResult, look: Look, *, whole: bool = False) -> dict[str, Any]:
    """The figure of one result. whole: one answer for all of it, without a timeline."""
    end_s = max(result.duration, _SHORTEST_S)
    frames = result.frames
    curves = curves_of(result) if frames is not None and frames.scores is not None and len(frames.starts) else None
    stretches = whole_bar(result, look.language) if whole else list(bars(result, look.language))
    data = [*_bar_traces(stretches, look), *_wave_traces(result, end_s, look), *_score_traces(curves, look)]
    return {"data": data, "layout": _layout(end_s, curves, look), "config": _config(look)}


def _bar_traces(stretches: Sequence[Bar], look: Look) -> Iterator[dict[str, Any]]:
    """Two traces for each label: faint behind the waveform, strong along the bottom."""
    for label in dict.fromkeys(sorted((bar.label for bar in stretches), key=lambda label: (label == SILENCE, label))):
        own = [bar for bar in stretches if bar.label == label]
        for strong in (False, True):
            if strong and label == SILENCE:
                continue
            yield {
                "type": "bar",
                "name": emotion(look.language, label),
                "legendgroup": label,
                "showlegend": not strong,
                "x": _times((bar.left + bar.right) / 2 for bar in own),
                "width": [_ms(bar.right - bar.left) for bar in own],
                "base": -1,
                "y": [2 * _STRIP if strong else 2] * len(own),
                "marker": _marker(label, look, strong=strong),
                "hovertext": [bar.told for bar in own],
                "hovertemplate": "%{hovertext}<extra></extra>",
            }


def _marker(label: str, look: Look, *, strong: bool) -> dict[str, Any]:
    if label == SILENCE:
        pattern = {"shape": "/", "fgcolor": look.line, "bgcolor": "rgba(0,0,0,0)", "size": 6, "solidity": 0.25}
        return {"color": "rgba(127,127,127,0.06)", "line": {"width": 0}, "pattern": pattern}
    return {"color": color_of(label), "opacity": 1 if strong else _FAINT, "line": {"width": 0}}


def _wave_traces(result: EmotionResult, end_s: float, look: Look) -> Iterator[dict[str, Any]]:
    rows = result.envelope
    if rows is None or not len(rows):
        return
    assert len(rows) <= ENVELOPE_ROWS
    peak = float(np.abs(rows).max()) * 1.08 or 1.0
    times = _times((at + 0.5) * end_s / len(rows) for at in range(len(rows)))
    for side, fill in ((0, "none"), (1, "tonexty")):
        yield {
            "type": "scatter",
            "mode": "lines",
            "x": times,
            "y": (rows[:, side].astype(np.float64) / peak).round(4).tolist(),
            "fill": fill,
            "fillcolor": look.ink,
            # Simplified lines would part the two edges of what is filled.
            "line": {"color": look.ink, "width": 0.6, "simplify": False},
            "hoverinfo": "skip",
            "showlegend": False,
        }


def _score_traces(curves: Curves | None, look: Look) -> Iterator[dict[str, Any]]:
    """Scores on top of each other, as in the pictures on disk, and over them unseen bars that tell them all at once."""
    if curves is None:
        return
    # The two edges of a bin have the same scores: one point for each bin is enough for a curve.
    middles = ((curves.times[0::2] + curves.times[1::2]) / 2).tolist()
    scores = np.nan_to_num(curves.scores[0::2].astype(np.float64))
    at = _times(middles)
    for column, label in enumerate(curves.labels):
        yield {
            "type": "scatter",
            "mode": "lines",
            "name": emotion(look.language, label),
            "legendgroup": label,
            "showlegend": False,
            "x": at,
            "y": scores[:, column].round(4).tolist(),
            "yaxis": "y2",
            "stackgroup": "scores",
            "line": {"width": 0, "color": color_of(label)},
            "fillcolor": color_of(label),
            "hoverinfo": "skip",
        }
    width = _ms(middles[1] - middles[0] if len(middles) > 1 else middles[0] * 2)
    lines = [f"{emotion(look.language, label)} %{{customdata[{i}]:.0%}}" for i, label in enumerate(curves.labels)]
    yield {
        "type": "bar",
        "x": at,
        "y": [1] * len(at),
        "width": width,
        "yaxis": "y2",
        "marker": {"color": "rgba(0,0,0,0)", "line": {"width": 0}},
        "customdata": scores.round(3).tolist(),
        "hovertemplate": "%{x|%-M:%S.%1f}<br>" + "<br>".join(lines) + "<extra></extra>",
        "showlegend": False,
    }


def _layout(end_s: float, curves: Curves | None, look: Look) -> dict[str, Any]:
    font = {"family": "system-ui, sans-serif", "size": 12, "color": look.faint}
    both = curves is not None
    hidden = {"fixedrange": True, "showgrid": False, "zeroline": False, "showticklabels": False, "ticks": ""}
    layout: dict[str, Any] = {
        "height": 490 if both else 350,
        "margin": {"l": 40 if both else 8, "r": 8, "t": 46, "b": 8},
        "modebar": {"bgcolor": "rgba(0,0,0,0)", "color": look.faint, "activecolor": look.ink},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": font,
        "barmode": "overlay",
        "bargap": 0,
        "hovermode": "closest",
        "hoverlabel": {
            "align": "left",
            "bgcolor": "#1F2530" if look.dark else "#FFFFFF",
            "bordercolor": look.line,
            "font": {"size": 12, "color": look.ink, "family": font["family"]},
        },
        "dragmode": False if look.touched else "zoom",
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "font": {"color": look.ink}},
        "xaxis": {
            "type": "date",
            "range": _times((0.0, end_s)),
            "minallowed": _times((0.0,))[0],
            "maxallowed": _times((end_s,))[0],
            "tickformatstops": [_PARTS, _TENTHS, _HOURS if end_s >= _HOUR_S else _SECONDS],
            "nticks": 8,
            "showgrid": False,
            "zeroline": False,
            "linecolor": look.line,
            "tickcolor": look.line,
            "ticks": "outside",
            "tickangle": 0,
            "anchor": "y2" if both else "y",
            # Scores are no part of the overview: they are out of the range that it shows.
            "rangeslider": {
                "thickness": 0.1,
                "bordercolor": look.line,
                "borderwidth": 1,
                **({"yaxis2": {"rangemode": "fixed", "range": [2, 3]}} if both else {}),
            },
        },
        "yaxis": {**hidden, "range": [-1, 1], "domain": [0.46, 1] if both else [0, 1]},
    }
    if both:
        layout["yaxis2"] = {
            "fixedrange": True,
            "range": [0, 1],
            "domain": [0, 0.4],
            "tickvals": [0, 0.5, 1],
            "tickformat": ".0%",
            "showgrid": False,
            "zeroline": False,
        }
    return layout


def _config(look: Look) -> dict[str, Any]:
    language = look.language
    words = {
        "Zoom": text(language, "zoom"),
        "Pan": text(language, "pan"),
        "Zoom in": text(language, "zoom_in"),
        "Zoom out": text(language, "zoom_out"),
        "Reset axes": text(language, "reset"),
        "Download plot as a PNG": text(language, "save_picture"),
        "Download plot as a png": text(language, "save_picture"),
    }
    return {
        "displaylogo": False,
        "showTips": False,
        "responsive": True,
        # A telephone has no room for buttons; the overview below zooms as well.
        "displayModeBar": False if look.touched else "hover",
        "modeBarButtonsToRemove": ["select2d", "lasso2d", "autoScale2d"],
        "toImageButtonOptions": {"filename": "overtone", "scale": 2},
        "locale": TAGS[language],
        "locales": {TAGS[language]: {"dictionary": words, "format": {}}},
    }


def _ms(seconds: float) -> float:
    return round(1000 * seconds, 1)


def _times(seconds: Iterable[float]) -> list[str]:
    """Times as Plotly takes them, so that its axis counts minutes. As text: it takes small numbers for years."""
    whole = np.round(np.fromiter(seconds, np.float64) * 1000).astype("timedelta64[ms]")
    texts: list[str] = (np.datetime64(0, "ms") + whole).astype(str).tolist()
    return texts
