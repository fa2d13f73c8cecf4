"""The timeline of one result as a picture: the waveform on its emotions, and the class scores over time.

Drawn with matplotlib's objects, not pyplot: no global state, safe in threads. The number of points is
bounded, so ten hours draw as fast as ten minutes.
"""

from __future__ import annotations

from overtone.errors import UsageError
from overtone.formats.target import replacing
from overtone.plot.colours import colour_of
from overtone.values import EmotionResult

__all__ = ["colour_of", "plot_timeline"]

FIGURE_INCHES = (11.0, 5.6)
DPI = 150


def plot_timeline(result: EmotionResult, path: str) -> None:
    """Draw `result` as a PNG at `path`, replacing it at once; missing folders are made.

    UsageError: a failed input (there is nothing to draw), matplotlib missing, `path` not writable.
    """
    if result.error is not None:
        raise UsageError(f"{result.source} failed, so there is nothing to plot: {result.error}")
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise UsageError("plots need matplotlib: pip install 'overtone[plot]'", code="missing_extra") from error
    from overtone.plot.picture import Picture

    figure = Figure(figsize=FIGURE_INCHES, dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    Picture(figure, result).draw()
    with replacing(path) as part:
        figure.savefig(part, format="png", dpi=DPI)
