"""`Run`: the files of one click, uploaded, answered some at a time, none of them stopping the others."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Literal

from overtone.errors import Code, OvertoneError, RefusedError
from overtone.output.records import expect_type
from overtone.results import EmotionResult, Result, Transcript
from overtone.server.api.problems import code_of
from overtone.server.inference.models import Task
from overtone.server.inference.request import InferenceRequest
from overtone.server.state import Server
from overtone.server.ui.errors import lost
from overtone.server.uploads import Upload

_LOG = logging.getLogger("overtone.server")

AT_ONCE = 4
"""Files that are answered at once: enough for batches to fill, and few enough that others get their turn."""

SENT_AHEAD = 8
"""Files that a browser may have sent beyond those that are finished; the rest wait on its own disk, not on this one."""

LOST_S = 60.0
"""Seconds without a sign of any upload after which those that are still to come are given up."""

_ASK_AGAIN_S = 5.0
"""Longest time between two tries where the service is busy."""

_BEGINNING = 80
"""Characters of a transcript that stand in the table."""

State = Literal["sending", "waiting", "running", "done", "failed", "stopped"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is told of a result in a table. `channel`: its number, None where channels are together. `text`: how a
    transcript begins; None of an emotion."""

    channel: int | None
    label: str | None
    score: float | None
    text: str | None = None

    @classmethod
    def of(cls, result: Result) -> Verdict:
        """That of a result."""
        if isinstance(result, Transcript):
            return cls(result.channel, None, None, result.text[:_BEGINNING])
        told = expect_type(result, EmotionResult)
        return cls(told.channel, told.label, told.score)


@dataclass(slots=True)
class Row:
    """One file and how far it is. `due`: when its answer is expected, by the monotonic clock; 0 while nobody knows."""

    name: str
    state: State = "sending"
    error: BaseException | None = None
    duration_s: float = 0.0
    verdicts: tuple[Verdict, ...] = ()
    due: float = 0.0

    @property
    def finished(self) -> bool:
        """Whether nothing will happen with it any more."""
        return self.state in ("done", "failed", "stopped")


class Run:
    """Files that are on their way. Used from the event loop.

    number: which click of its page. keep: takes the results of a file when they are there. `go` does the work; uploads
    come through `arriving`, `arrived` and `missing`.
    """

    def __init__(
        self,
        server: Server,
        number: int,
        names: Sequence[str],
        call: InferenceRequest,
        keep: Callable[[int, Sequence[Result]], None],
    ) -> None:
        self.number = number
        self.rows = [Row(name) for name in names]
        self._server, self._call, self._keep = server, call, keep
        loop = asyncio.get_running_loop()
        self._uploads: list[asyncio.Future[Upload]] = [loop.create_future() for _ in names]
        self._places = asyncio.Semaphore(AT_ONCE)
        self._changed = asyncio.Event()
        self._arriving = 0
        self._sign = self._finish = time.monotonic()

    @property
    def task(self) -> Task:
        """What is asked of them."""
        return self._call.task

    @property
    def wanted(self) -> int:
        """How many of the files, from the first, may have been sent by now."""
        return min(len(self.rows), sum(row.finished for row in self.rows) + SENT_AHEAD)

    async def go(self) -> None:
        """Answer them all. Where it is cancelled, what was not finished is stopped."""
        try:
            await asyncio.gather(*(self._one(at) for at in range(len(self.rows))))
        finally:
            for row in self.rows:
                row.state = row.state if row.finished else "stopped"
            self._changed.set()
            await asyncio.shield(self._remove_all())

    async def _remove_all(self) -> None:
        """Let no upload in any more, and leave none. Of those that were answered there is nothing left to remove."""
        for upload in self._uploads:
            if not upload.cancel() and not upload.cancelled() and upload.exception() is None:
                await asyncio.to_thread(upload.result().remove)

    async def changed(self, most_s: float) -> None:
        """Wait for something to have happened, and no longer than this."""
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._changed.wait(), most_s)
        self._changed.clear()

    def expects(self, at: int) -> bool:
        """Whether the upload of that file is still to come."""
        return 0 <= at < len(self.rows) and not self._uploads[at].done()

    @contextmanager
    def arriving(self) -> Iterator[None]:
        """While an upload comes in."""
        self._arriving += 1
        try:
            yield
        finally:
            self._arriving -= 1
            self._sign = time.monotonic()

    def arrived(self, at: int, upload: Upload) -> bool:
        """Hand over an upload; False where nobody wants it any more, and the caller is to remove it."""
        if not self.expects(at):
            return False
        self._uploads[at].set_result(upload)
        return True

    def missing(self, at: int, error: BaseException) -> None:
        """An upload failed."""
        if self.expects(at):
            self._uploads[at].set_exception(error)
            self._uploads[at].exception()  # seen, should nobody ask for it any more

    async def _one(self, at: int) -> None:
        row = self.rows[at]
        try:
            upload = await self._upload(at)
            try:
                self._set(row, "waiting")
                async with self._places:
                    results = await self._answered(row, upload)
            except OvertoneError as error:
                self._server.metrics.refused(code_of(error))
                raise
            finally:
                await asyncio.shield(asyncio.to_thread(upload.remove))
            self._keep(at, results)
            row.duration_s, row.verdicts = results[0].duration, tuple(map(Verdict.of, results))
            self._server.metrics.audio(results[0].duration, "interactive", self._call.task)
            self._set(row, "done")
        except Exception as error:  # noqa: BLE001 - one file never stops the others
            self._failed(row, error)
        self._finish = time.monotonic()

    def _failed(self, row: Row, error: Exception) -> None:
        row.error = error
        if not isinstance(error, OvertoneError):
            _LOG.error("a fault of the page's own", exc_info=error)
        self._set(row, "failed")

    async def _upload(self, at: int) -> Upload:
        while True:
            # Not `wait_for`, which loses a cancellation that comes together with the upload (Python 3.11 and before).
            done, _ = await asyncio.wait([self._uploads[at]], timeout=LOST_S / 4)
            if done:
                return self._uploads[at].result()
            if not self._arriving and at < self.wanted and time.monotonic() - self._sign > LOST_S:
                self._uploads[at].cancel()
                raise lost()

    async def _answered(self, row: Row, upload: Upload) -> list[Result]:
        """The answer. Where the service is busy with others, it is asked again for as long as an answer may take."""
        service, deadline_s = self._server.service, self._server.settings.deadline_s
        began = time.monotonic()
        while True:
            try:
                self._set(row, "running")
                drawn = self._call.task == "emotion"
                return await asyncio.wait_for(service.results(upload, self._call, envelope=drawn), deadline_s)
            except asyncio.TimeoutError:
                raise RefusedError(f"it was not answered within {deadline_s:g} s.", code=Code.DEADLINE) from None
            except RefusedError as error:
                # What this very run has under way makes it busy as well: as long as that goes on, waiting is worth it.
                if error.code != Code.BUSY or time.monotonic() - max(began, self._finish) > deadline_s:
                    raise
                self._set(row, "waiting")
                await asyncio.sleep(min(max(error.retry_after_s or 0.0, 0.5), _ASK_AGAIN_S))

    def _set(self, row: Row, state: State) -> None:
        row.state, row.due = state, 0.0
        self._changed.set()
