"""Load for a server on this machine, made by a child process: requests in a closed or in an open loop.

    child("from serve_load import closed\\nanswer(**closed(**arguments))", port=…, clips=…, clients=32, seconds=40)

One thread, plain streams, requests put together beforehand. It runs on the cores that the server has, so its own CPU
time stands beside its figures.
"""

from __future__ import annotations

import asyncio
import itertools
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from serve_figures import OK, Figures, SubmittedSource, arrivals, engine_share, exposed, figures_of, percentile, turns
from serve_http import Connection, get, marked, post

CODE = "from serve_load import {0}\nanswer(**{0}(**arguments))"
"""For `common.child`, with `closed` or `open_loop`."""

SCORES = b'"scores"'
"""Keys that an answer has to hold to count as one."""

PAUSE_S = 0.2
"""Seconds that a client waits after a failure before it asks again; after a refusal as long as `Retry-After` says."""

MOST_PAUSE_S = 5.0

Clip = Sequence[Any]
"""A path and its seconds of audio, as JSON has them."""


@dataclass(frozen=True, slots=True)
class _Body:
    """Bodies of requests; each is marked, so that no two are the same and every one is computed."""

    kind: str
    audio_s: float
    request: bytes

    @classmethod
    def of(cls, kind: str, clip: Clip, path: str) -> _Body:
        file = Path(clip[0])
        return cls(kind, float(clip[1]), post(path, file.name, file.read_bytes()))


async def _send(
    connection: Connection, body: _Body, number: int, planned_s: float = 0.0
) -> tuple[SubmittedSource, float]:
    """Send one request; return it and the seconds to wait before the next.

    - `number`: another for each.
    - `planned_s`: when it was to go.
    """
    request = marked(body.request, number)
    began, retry_after, pause_s = time.perf_counter(), None, 0.0
    late_s = began - planned_s if planned_s else 0.0
    status: int | str
    try:
        reply = await connection.ask(request)
        status, retry_after = reply.status, reply.headers.get("retry-after")
        if status == OK and SCORES not in reply.body:
            status = "no scores"
    except (OSError, EOFError) as error:
        status = type(error).__name__
    if status != OK:
        pause_s = min(float(retry_after), MOST_PAUSE_S) if retry_after and retry_after.isdigit() else PAUSE_S
    ended = time.perf_counter()
    return SubmittedSource(body.kind, body.audio_s, began, ended, status, retry_after is not None, late_s), pause_s


async def _metrics(port: int, wanted: bool) -> dict[str, float]:
    if not wanted:
        return {}
    connection = Connection(port)
    try:
        return exposed((await connection.ask(get("/metrics"))).body.decode())
    finally:
        connection.close()


@dataclass(slots=True, kw_only=True)
class Closed:
    """Clients that each send a request, wait for its answer and send the next.

    - `warm_s`: seconds before anything counts; then until each client has had an answer, `most_warm_s` at most. After
      that, for `seconds`, or until so many `requests` are answered.
    - `pause_s`: of a client from an answer to its next request.
    - `long`: sent once in `long_in` requests, and again and again by `long_clients` more clients.
    - `scrape`: True if the server has metrics.
    """

    port: int
    clips: Sequence[Clip]
    clients: int
    seconds: float
    path: str = "/v1/emotion"
    warm_s: float = 0.0
    most_warm_s: float = 0.0
    pause_s: float = 0.0
    requests: float = math.inf
    long: Clip | None = None
    long_in: int = 0
    long_clients: int = 0
    scrape: bool = True
    _numbers: Iterator[int] = field(default_factory=itertools.count)
    _sent: list[SubmittedSource] = field(default_factory=list)
    _warm: set[int] = field(default_factory=set)
    _from_s: float = math.inf
    _counted: int = 0

    async def run(self) -> Figures:
        """The figures of the time that counts."""
        bodies = [_Body.of("short", clip, self.path) for clip in self.clips]
        order = turns(len(bodies), long_in=self.long_in if self.long else 0)
        if self.long:
            bodies.append(_Body.of("long", self.long, self.path))

        async def client(number: int) -> None:
            connection, own = Connection(self.port), itertools.repeat(len(bodies) - 1)
            try:
                while self._counted < self.requests:
                    body = bodies[next(order if number < self.clients else own)]
                    sent, pause_s = await _send(connection, body, next(self._numbers))
                    self._sent.append(sent)
                    if number < self.clients:
                        self._warm.add(number)
                    self._counted += sent.began_s >= self._from_s
                    if pause_s := max(self.pause_s, pause_s):
                        await asyncio.sleep(pause_s)
            finally:
                connection.close()

        tasks = [asyncio.create_task(client(number)) for number in range(self.clients + self.long_clients)]
        try:
            return await self._watch(tasks)
        finally:
            await _end(tasks)

    async def _watch(self, tasks: list[asyncio.Task[None]]) -> Figures:
        start = time.perf_counter()
        while (passed := time.perf_counter() - start) < self.warm_s or (
            len(self._warm) < self.clients and passed < self.most_warm_s
        ):
            await _wait(tasks, 0.1)
        self._from_s, cpu_s = time.perf_counter(), time.process_time()
        before = await _metrics(self.port, self.scrape)
        await _wait(tasks, self.seconds)
        ended_s, cpu_s = time.perf_counter(), time.process_time() - cpu_s
        after = await _metrics(self.port, self.scrape)
        found = figures_of(self._sent, self._from_s, ended_s)
        short = [one for one in self._sent if one.status == OK and one.kind == "short"]
        latencies = [one.took_s for one in short if self._from_s < one.ended_s <= ended_s]
        warm = {"warm_up_s": self._from_s - start, "all_warm": len(self._warm) == self.clients}
        share = engine_share(before, after, ended_s - self._from_s) if self.scrape else {}
        return {"clients": self.clients, **found, **share, **warm, "cpu_s": cpu_s, "latencies_s": latencies}


async def _wait(tasks: list[asyncio.Task[None]], seconds: float) -> None:
    """Let the clients work; their own faults are raised."""
    done, _ = await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_EXCEPTION)
    for task in done:
        task.result()


async def _end(tasks: list[asyncio.Task[None]]) -> list[BaseException]:
    """Stop the clients; return their own faults."""
    for task in tasks:
        task.cancel()
    found = await asyncio.gather(*tasks, return_exceptions=True)
    return [one for one in found if isinstance(one, Exception)]


@dataclass(slots=True, kw_only=True)
class Open:
    """Requests that are sent at their times, whether those before are answered or not.

    - `rate`: of requests in a second.
    - `connections`: the most at once; a request that finds none free is not sent, and counted.
    - `warm_s`: seconds before anything counts.
    - `deadline_s`: an answer that takes longer is none.
    """

    port: int
    clips: Sequence[Clip]
    rate: float
    seconds: float
    connections: int
    deadline_s: float
    path: str = "/v1/emotion"
    warm_s: float = 0.0
    _numbers: Iterator[int] = field(default_factory=itertools.count)
    _sent: list[SubmittedSource] = field(default_factory=list)
    _free: list[Connection] = field(default_factory=list)
    _opened: int = 0
    _unsent: int = 0

    async def run(self) -> Figures:
        """The figures of the time that counts."""
        bodies = [_Body.of("short", clip, self.path) for clip in self.clips]
        moments = arrivals(self.rate, self.warm_s + self.seconds)
        planned = [(moment, bodies[clip]) for moment, clip in zip(moments, turns(len(bodies)), strict=False)]
        tasks: list[asyncio.Task[None]] = []
        start = time.perf_counter()
        from_s, cpu_s = start + self.warm_s, 0.0
        try:
            for moment, body in planned:
                await asyncio.sleep(max(0.0, start + moment - time.perf_counter()))
                cpu_s = cpu_s or time.process_time() * (moment >= self.warm_s)
                if (connection := self._connection()) is not None:
                    tasks.append(asyncio.create_task(self._one(connection, body, start + moment)))
                elif moment >= self.warm_s:
                    self._unsent += 1
            await asyncio.sleep(max(0.0, from_s + self.seconds - time.perf_counter()))
            ended_s, cpu_s = time.perf_counter(), time.process_time() - cpu_s
        finally:
            faults = await _end(tasks)
            for connection in self._free:
                connection.close()
        for fault in faults:
            raise fault
        late = [one.late_s for one in self._sent if one.began_s >= from_s]
        counted = [body for moment, body in planned if moment >= self.warm_s]
        return {
            **figures_of(self._sent, from_s, ended_s, self.deadline_s),
            "offered_requests_per_s": len(counted) / (ended_s - from_s),
            "offered_audio_per_s": sum(body.audio_s for body in counted) / (ended_s - from_s),
            "unsent": self._unsent,
            "late_p99_s": percentile(late, 99),
            "connections": self._opened,
            "cpu_s": cpu_s,
        }

    def _connection(self) -> Connection | None:
        if self._free:
            return self._free.pop()
        if self._opened == self.connections:
            return None
        self._opened += 1
        return Connection(self.port)

    async def _one(self, connection: Connection, body: _Body, planned_s: float) -> None:
        try:
            sent, _ = await _send(connection, body, next(self._numbers), planned_s)
            self._sent.append(sent)
        except asyncio.CancelledError:
            connection.close()
            raise
        self._free.append(connection)


def closed(**given: Any) -> Figures:
    """Run `Closed`."""
    return asyncio.run(Closed(**given).run())


def open_loop(**given: Any) -> Figures:
    """Run `Open`."""
    return asyncio.run(Open(**given).run())
