"""Protocol of a sink, and the implementation that text files share."""

from __future__ import annotations

from abc import abstractmethod
from types import TracebackType
from typing import Protocol, TypeVar

from overtone.output.formats.output_file import Target
from overtone.results import Result

_Self = TypeVar("_Self")  # typing.Self needs Python 3.11


class Sink(Protocol):
    """Writer of results, in order. As a context manager it closes itself, whatever happens inside.

    `write` and `close` raise UsageError where the output cannot be written (its message names it), and
    BrokenPipeError where the reader of standard output has gone.
    """

    def write(self, result: Result) -> None:
        """Add one result."""

    def close(self) -> None:
        """Finish the output, which is readable after this. Closing again does nothing."""

    def __enter__(self: _Self) -> _Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Closing:
    """Base of sinks: enter and leave as a context manager."""

    @abstractmethod
    def close(self) -> None:
        """Finish the output."""

    def break_off(self) -> None:
        """Finish the output after an error."""
        self.close()

    def __enter__(self: _Self) -> _Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
        else:
            self.break_off()


class TextSink(Closing):
    """Sink to one text target: each result is written as a whole, flushed, or not written at all."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._written = False

    def write(self, result: Result) -> None:
        with self._target.transaction():
            self._put(result)
        self._written = True

    def break_off(self) -> None:
        """Finish the output after an error; without a result in it, a file that was there stays as it was."""
        if self._written or not self._target.replaces:
            self.close()
        else:
            self._target.abort()

    def close(self) -> None:
        self._target.close()

    @abstractmethod
    def _put(self, result: Result) -> None: ...
