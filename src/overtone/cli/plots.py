"""Plots to files: of results, one PNG for each input, into a folder; and of a run's stages, a single one."""

from __future__ import annotations

import os

from overtone.audio.inputs import Entry
from overtone.errors import Code, UsageError
from overtone.output.formats import OutputNames
from overtone.output.formats.output_file import make_folder
from overtone.output.plots import plot_stages, plot_timeline
from overtone.results import EmotionResult
from overtone.system.profiler import Recording


class Plots:
    """Names every input in the order it was given, so that a resumed run names its pictures as the first one did.

    UsageError where matplotlib is missing or the folder, which is made, cannot be written.
    """

    def __init__(self, folder: str) -> None:
        _have_matplotlib()
        make_folder(folder)
        self._folder = folder
        self._names = OutputNames()

    def reserve(self, entry: Entry) -> None:
        """Name the next input, in order, also one that was done before."""
        self._names.reserve(entry.source, entry.id)

    def write(self, result: EmotionResult) -> None:
        """Draw a result that is not an error."""
        channel = "" if result.channel is None else f".ch{result.channel}"
        plot_timeline(result, os.path.join(self._folder, f"{self._names.of_source(result)}{channel}.png"))


class StagePlot:
    """The picture of a run's stages, at `path`. Checked before the run, drawn after it.

    UsageError where matplotlib is missing, `path` does not end in .png, cannot be written (its folder is made), or
    holds something already that is not to be overwritten.
    """

    def __init__(self, path: str, *, overwrite: bool) -> None:
        if os.path.splitext(path)[1].lower() != ".png":
            raise UsageError(f"the picture of a run is a PNG; let the name end in .png, not {path!r}.")
        if os.path.isdir(path):
            raise UsageError(f"{path} is a folder; name a .png file.")
        if not overwrite and os.path.isfile(path) and os.path.getsize(path):
            raise UsageError(f"{path} is there already; give --overwrite to replace it.")
        _have_matplotlib()
        make_folder(os.path.dirname(os.path.realpath(path)))
        self._path = path

    def draw(self, recording: Recording, caption: str) -> None:
        """Draw a recording; `caption` says of what."""
        plot_stages(recording, self._path, caption)


def _have_matplotlib() -> None:
    """Import matplotlib now: it is resident before memory is shared out, and missed now rather than after an hour."""
    try:
        import matplotlib.backends.backend_agg  # noqa: F401 - only to have it
    except ImportError as error:
        raise UsageError("plots need matplotlib: pip install 'overtone[plot]'", code=Code.MISSING_EXTRA) from error
