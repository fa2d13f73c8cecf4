"""Pictures of results, one PNG for each input, into a folder."""

from __future__ import annotations

import os

from overtone.errors import UsageError
from overtone.formats import Names
from overtone.formats.target import make_folder
from overtone.inputs import Entry
from overtone.plot import plot_timeline
from overtone.values import EmotionResult


class Plots:
    """Names every input in the order it was given, so that a resumed run names its pictures as the first one did.

    UsageError where matplotlib is missing or the folder, which is made, cannot be written.
    """

    def __init__(self, folder: str) -> None:
        # Imported now, so that it is resident before memory is shared out; checked now rather than after an hour.
        try:
            import matplotlib.backends.backend_agg  # noqa: F401 - only to have it
        except ImportError as error:
            raise UsageError("plots need matplotlib: pip install 'overtone[plot]'", code="missing_extra") from error
        make_folder(folder)
        self._folder = folder
        self._names = Names()

    def reserve(self, entry: Entry) -> None:
        """The next input, in order, whether it will be run or was done before."""
        self._names.reserve(entry.source, entry.id)

    def write(self, result: EmotionResult) -> None:
        """Draw a result that is not an error."""
        channel = "" if result.channel is None else f".ch{result.channel}"
        plot_timeline(result, os.path.join(self._folder, f"{self._names.of_source(result)}{channel}.png"))
