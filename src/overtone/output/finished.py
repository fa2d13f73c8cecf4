"""Finished inputs of a run that goes on, and their results where the output needs them again."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Set
from contextlib import AbstractContextManager
from types import TracebackType
from typing import TypeVar

from overtone.output.resume_log import ResumeLog
from overtone.results import Result

_Result = TypeVar("_Result", bound=Result)


class Finished(AbstractContextManager["Finished"]):
    """Keys (`resume.key_of`) of the inputs that are done, and the side file that has their results, if one has.

    Close it, or leave it as a context manager, after the output.
    """

    def __init__(self, keys: Set[str] = frozenset(), log: ResumeLog | None = None) -> None:
        self.keys = keys if log is None else frozenset(log.done)
        self._log = log
        self._order: deque[str] = deque()

    def expect(self, key: str) -> bool:
        """Take note of the next input, in order. True if it is still to be done."""
        if self._log is not None:
            self._order.append(key)
        return key not in self.keys

    def in_order(self, results: Iterable[_Result]) -> Iterator[tuple[Result, bool]]:
        """All results in the order of their inputs, and whether each is new: those of `results`, which are of the
        inputs that were to be done, and between them those of the others."""
        for result in results:
            if result.channel in (None, 0):  # the first of its input
                yield from self._recall()
                if self._order:
                    self._order.popleft()
            yield result, True
        yield from self._recall()

    def _recall(self) -> Iterator[tuple[Result, bool]]:
        while self._log is not None and self._order and self._order[0] in self.keys:
            for result in self._log.results(self._order.popleft()):
                yield result, False

    def add(self, result: Result) -> None:
        """Keep a new result, before it is written to the output."""
        if self._log is not None:
            self._log.add(result)

    def finish(self) -> None:
        """Nothing is left to do."""
        if self._log is not None:
            self._log.finish()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._log is not None:
            self._log.__exit__(kind, error, trace)
