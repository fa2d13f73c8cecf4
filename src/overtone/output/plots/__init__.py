"""Plots of results and runs: the timeline of one result, with the waveform on its emotions and the class scores over
time; and the stages of a run, a lane for each thread.

Drawn with matplotlib's objects, not pyplot: no global state, safe in threads. The number of points is
bounded, so ten hours draw as fast as ten minutes.
"""

from __future__ import annotations

from typing import Any

from overtone.errors import Code, UsageError
from overtone.output.formats.output_file import replacing
from overtone.output.plots.colors import color_of
from overtone.results import EmotionResult
from overtone.system.profiler import Recording

__all__ = ["color_of", "draw_timeline", "plot_stages", "plot_timeline", "save_figure"]

FIGURE_INCHES = (11.0, 5.6)
DPI = 150


def plot_timeline(result: EmotionResult, path: str) -> None:
    """Draw `result` as a PNG at `path`, replacing it at once; missing folders are made.

    UsageError: a failed input (there is nothing to draw), matplotlib missing, `path` not writable.
    """
    save_figure(draw_timeline(result), path)


def draw_timeline(result: EmotionResult) -> Any:
    """A `matplotlib.figure.Figure` of `result`. UsageError: a failed input, matplotlib missing."""
    if result.error is not None:
        raise UsageError(f"{result.source} failed, so there is nothing to plot: {result.error}")
    figure = _figure(*FIGURE_INCHES)
    from overtone.output.plots.timeline_plot import Picture

    Picture(figure, result).draw()
    return figure


def plot_stages(recording: Recording, path: str, caption: str = "") -> None:
    """Draw the stages of each thread over time as a PNG at `path`, replacing it at once; missing folders are made.

    `caption` names the run. The size is bounded however long the run was: see `overtone.output.plots.gantt`.
    UsageError: matplotlib missing, `path` not writable.
    """
    figure = _figure(FIGURE_INCHES[0], 1.0)
    from overtone.output.plots.gantt import Threads

    Threads(figure, recording, caption).draw()
    save_figure(figure, path)


def _figure(width: float, height: float) -> Any:
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise UsageError("plots need matplotlib: pip install 'overtone[plot]'", code=Code.MISSING_EXTRA) from error
    figure = Figure(figsize=(width, height), dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def save_figure(figure: Any, path: str) -> None:
    """Write a figure as a PNG at `path`, replacing it at once. UsageError: `path` not writable."""
    with replacing(path) as file:
        figure.savefig(file, format="png", dpi=DPI)
