"""JSON: one record per line, or all in one array."""

from __future__ import annotations

from overtone.output.formats.output_file import Place, Target
from overtone.output.formats.sink import TextSink
from overtone.output.records import Level, json_chunks
from overtone.results import Result


class JsonLines(TextSink):
    """Sink of one line per input, in place: a killed run leaves the finished lines and at most a half-written one."""

    def __init__(self, path: Place, granularity: Level, *, append: bool = False) -> None:
        super().__init__(Target(path, in_place=True, append=append))
        self._granularity = granularity

    def _put(self, result: Result) -> None:
        for text in json_chunks(result, self._granularity):
            self._target.write(text)
        self._target.write("\n")


class JsonArray(TextSink):
    """Sink of an array of records, one per line; valid JSON once closed."""

    def __init__(self, path: Place, granularity: Level) -> None:
        super().__init__(Target(path))
        self._granularity = granularity
        self._before = "[\n"

    def _put(self, result: Result) -> None:
        self._target.write(self._before)
        for text in json_chunks(result, self._granularity):
            self._target.write(text)
        self._before = ",\n"

    def close(self) -> None:
        """End the array."""
        if not self._target.closed:
            self._target.write("[]\n" if self._before == "[\n" else "\n]\n")
        self._target.close()
