"""Runs: some files at a time, and nothing is left of those that fail or are stopped."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from helpers.results import result
from helpers.server.loops import run, settle
from helpers.server.page import a_run, becomes, done, left
from overtone.errors import InputError, RefusedError
from overtone.results import EmotionResult
from overtone.server.inference.request import InferenceRequest
from overtone.server.ui.errors import lost
from overtone.server.ui.run import AT_ONCE, SENT_AHEAD, Row, Run
from overtone.server.uploads import Spool, Upload


def test_only_so_many_files_are_wanted_at_a_time() -> None:
    rows = [done("a")] * 3 + [Row("b")] * 30
    assert a_run(*rows).wanted == 3 + SENT_AHEAD


class FakeService:
    """Answers when told to."""

    def __init__(self) -> None:
        self.under_way: dict[str, asyncio.Future[list[EmotionResult]]] = {}
        self.most = 0
        self.busy = 0

    async def results(self, upload: Upload, call: InferenceRequest, *, envelope: bool) -> list[EmotionResult]:
        assert envelope
        if self.busy:
            self.busy -= 1
            raise RefusedError("busy", code="busy", retry_after_s=0.0)
        answer = asyncio.get_running_loop().create_future()
        self.under_way[upload.name] = answer
        self.most = max(self.most, len(self.under_way))
        try:
            return await answer
        finally:
            del self.under_way[upload.name]


class FakeServer:
    """What a run needs of a server."""

    def __init__(self, deadline_s: float = 60.0) -> None:
        self.service, self.metrics, self.settings = FakeService(), self, self
        self.deadline_s = deadline_s
        self.refusals: list[str] = []
        self.answered_s = 0.0

    def refused(self, code: str) -> None:
        self.refusals.append(code)

    def audio(self, seconds: float, kind: str, task: str) -> None:
        self.answered_s += seconds


def uploaded(spool: Spool, name: str) -> Upload:
    path = spool.new_path()
    path.write_bytes(b"audio")
    spool.charge(path, 5)
    return Upload(path, name, 5, "0" * 64, spool.remove)


class Going:
    """A run that goes, and what it gave."""

    def __init__(self, server: FakeServer, *names: str) -> None:
        self.given: dict[int, Sequence[EmotionResult]] = {}
        self.run = Run(server, 1, names, InferenceRequest(), self.given.__setitem__)  # type: ignore[arg-type]
        self.task = asyncio.create_task(self.run.go())

    @property
    def states(self) -> list[str]:
        return [row.state for row in self.run.rows]


def test_files_are_answered_some_at_a_time_and_their_uploads_are_gone_then(spool: Spool) -> None:
    async def work() -> None:
        server = FakeServer()
        going = Going(server, *"abcdefg")
        for at, name in enumerate("abcdefg"):
            assert going.run.arrived(at, uploaded(spool, name))
        await becomes(lambda: len(server.service.under_way) == AT_ONCE)
        await settle()
        assert going.states == ["running"] * AT_ONCE + ["waiting"] * 3
        while not going.task.done():
            for answer in list(server.service.under_way.values()):
                answer.set_result([result()])
            await settle()
            await becomes(lambda: server.service.under_way or going.task.done())
        assert server.service.most == AT_ONCE
        assert going.states == ["done"] * 7
        assert sorted(going.given) == list(range(7))
        assert server.answered_s == 21.0

    run(work())
    assert (left(spool), spool.held_bytes) == ([], 0)


def test_one_file_that_fails_stops_no_other(spool: Spool) -> None:
    async def work() -> None:
        server = FakeServer()
        going = Going(server, *"abcde")
        for at, name in enumerate("abcd"):
            going.run.arrived(at, uploaded(spool, name))
        going.run.missing(4, RefusedError("too large", code="too_large"))
        await becomes(lambda: len(server.service.under_way) == 4)
        server.service.under_way["a"].set_exception(InputError("a: no", code="not_audio"))
        server.service.under_way["b"].set_exception(ValueError("a fault"))
        server.service.under_way["c"].set_result([result()])
        server.service.under_way["d"].set_result([result(channel=0), result(channel=1)])
        await going.task
        assert going.states == ["failed", "failed", "done", "done", "failed"]
        assert [row.verdicts[-1].channel for row in going.run.rows[2:4]] == [None, 1]
        assert server.refusals == ["not_audio"], "the upload's own refusal is counted where it was met"

    run(work())
    assert left(spool) == []


def test_a_run_that_is_stopped_leaves_nothing(spool: Spool) -> None:
    async def work() -> None:
        server = FakeServer()
        going = Going(server, *"abcdefg")
        for at, name in enumerate("abcdef"):
            going.run.arrived(at, uploaded(spool, name))
        await becomes(lambda: len(server.service.under_way) == AT_ONCE)
        going.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await going.task
        assert going.states == ["stopped"] * 7
        late = uploaded(spool, "g")
        assert not going.run.arrived(6, late)
        late.remove()
        assert not server.service.under_way

    run(work())
    assert (left(spool), spool.held_bytes) == ([], 0)


def test_an_upload_that_arrives_as_the_run_is_stopped_is_removed(spool: Spool) -> None:
    async def work() -> None:
        going = Going(FakeServer(), "a")
        await settle()
        going.run.arrived(0, uploaded(spool, "a"))
        going.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await going.task

    run(work())
    assert left(spool) == []


def test_where_the_service_is_busy_a_file_waits(spool: Spool) -> None:
    async def work() -> None:
        server = FakeServer()
        server.service.busy = 2
        going = Going(server, "a")
        going.run.arrived(0, uploaded(spool, "a"))
        await becomes(lambda: going.states == ["waiting"])
        await becomes(lambda: server.service.under_way)
        server.service.under_way["a"].set_result([result()])
        await going.task
        assert going.states == ["done"]
        assert server.refusals == []

    run(work())


def test_where_it_stays_busy_or_slow_it_is_given_up(spool: Spool) -> None:
    async def work() -> None:
        server = FakeServer(deadline_s=0.05)
        server.service.busy = 1000
        going = Going(server, "a")
        going.run.arrived(0, uploaded(spool, "a"))
        await going.task
        server.service.busy = 0
        slow = Going(server, "b")
        slow.run.arrived(0, uploaded(spool, "b"))
        await slow.task
        codes = [getattr(one.run.rows[0].error, "code", "") for one in (going, slow)]
        assert codes == server.refusals == ["busy", "deadline"]

    run(work())
    assert left(spool) == []


def test_an_upload_that_never_comes_is_given_up(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("overtone.server.ui.run.LOST_S", 0.05)

    async def work() -> None:
        going = Going(FakeServer(), "a", "b")
        with going.run.arriving():
            await asyncio.sleep(0.2)  # longer than anything is waited for
            assert going.states == ["sending", "sending"], "another is on its way"
        await going.task
        assert [getattr(row.error, "code", "") for row in going.run.rows] == [lost().code] * 2

    run(work())
