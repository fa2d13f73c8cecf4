"""Methods of results that write and show them: as records, tables, files, plots and in notebooks.

Results are values, and lie below the package that writes them. That is looked up in `_output` when a method is called,
the one import that goes upwards.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from types import ModuleType

    from overtone.output.records import Level
    from overtone.results import EmotionResult

_LONGEST_TEXT = 60
"""Characters of a text that a `repr` shows."""


class Presentable(ABC):
    """A value with a short `repr`: some of its fields, and the lengths of the long ones."""

    __slots__ = ()

    @abstractmethod
    def _shown(self) -> dict[str, Any]:
        """The parts of the `repr`, by name."""

    def __repr__(self) -> str:
        parts = (f"{name}={_short(value)}" for name, value in self._shown().items() if value is not None)
        return f"{type(self).__name__}({', '.join(parts)})"


class PresentableResult(Presentable):
    """A result of a source, which can write and show itself."""

    __slots__ = ()

    def to_dict(self, granularity: Level | None = None) -> dict[str, Any]:
        """The result as its JSON record: plain dicts, lists, text and numbers.

        Parameters
        ----------
        granularity
            Detail, as in the options: `utterance`, `segment` or `frame` of an emotion; `text`, `sentence` or `word` of
            a transcript. None takes all that the result has.

        Raises
        ------
        UsageError
            For a granularity that is not of this kind of result, and for `frame` of a result without frames.
        """
        record: dict[str, Any] = _output().record(self, granularity)
        return record

    def to_json(self, granularity: Level | None = None, *, indent: int | None = None) -> str:
        """The JSON record as text: one line, as in a `.jsonl`, unless `indent` is given.

        Parameters
        ----------
        granularity
            As for `to_dict`.
        indent
            Blanks to indent by.

        Raises
        ------
        UsageError
            As for `to_dict`.
        """
        text: str = _output().json_text(self, granularity, indent)
        return text

    def to_frame(self, granularity: Level | None = None) -> Any:
        """A `pandas.DataFrame` with the rows and columns of `-o out.parquet`: segments, frames or sentences.

        Parameters
        ----------
        granularity
            As for `to_dict`.

        Raises
        ------
        UsageError
            As for `to_dict`, and if pandas is not installed.
        """
        return _output().data_frame(self, granularity)

    def save(
        self, path: str | os.PathLike[str], granularity: Level | None = None, *, format: str | None = None
    ) -> None:
        """Write the result to a file, as `-o` does; missing folders are made.

        Parameters
        ----------
        path
            File to write, or to replace: `.jsonl`, `.json`, `.csv`, `.parquet`, `.srt`, `.vtt`, `.txt` or `.rttm`.
        granularity
            As for `to_dict`.
        format
            One of those, for a path with another ending.

        Raises
        ------
        UsageError
            As for `to_dict`; for a format that is not known or does not fit, for a timeline of a failed result, and
            where the file cannot be written.
        """
        _output().save(self, path, granularity, format)

    def _repr_html_(self) -> str:
        html: str = _output().html(self)
        return html


class PresentableEmotion(PresentableResult):
    """A result that has a timeline to plot."""

    __slots__ = ()

    def plot(self, path: str | os.PathLike[str] | None = None) -> Any:
        """A `matplotlib.figure.Figure` of the timeline and its scores, as `--plot` draws it.

        The waveform is there if the result was made with `envelope=True`.

        Parameters
        ----------
        path
            A PNG to write it to as well.

        Raises
        ------
        UsageError
            For a failed result, if matplotlib is not installed, and where the file cannot be written.
        """
        return _output().plot(cast("EmotionResult", self), path)


def _output() -> ModuleType:
    from overtone.output import presentation

    return presentation


def _short(value: object) -> str:
    if isinstance(value, str) and len(value) > _LONGEST_TEXT:
        return repr(value[: _LONGEST_TEXT - 1] + "…")
    return f"{value:.6g}" if isinstance(value, float) else repr(value)
