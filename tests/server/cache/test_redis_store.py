"""Redis that comes and goes, hangs, is full, or is none: nothing fails, and it is said once."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from helpers.server.loops import Clock, giving, never, run, settle, until
from helpers.waiting import until as until_it
from overtone.server.cache import RedisStore, ResultCache
from overtone.server.cache import redis_store as redis_store_file
from overtone.server.cache.circuit_breaker import CircuitBreaker

SECRET = "hunter2"


def test_a_breaker_lets_one_ask_in_every_pause_and_speaks_twice(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    breaker = CircuitBreaker("it", 5.0, clock)
    old, slow, first = breaker.try_acquire(), breaker.try_acquire(), breaker.try_acquire()
    assert old is not None
    assert slow is not None
    assert first is not None
    breaker.record_failure(first, "why")
    assert breaker.try_acquire() is None
    breaker.record_success(old)  # it had asked before the trouble
    breaker.record_failure(slow, "other")
    assert breaker.last_error == "why"
    assert breaker.failure_count == 2
    clock.now_s += 5
    assert breaker.try_acquire() is not None  # which never tells
    assert breaker.try_acquire() is None
    clock.now_s += 5
    again = breaker.try_acquire()
    assert again is not None
    clock.now_s += 1
    breaker.record_failure(again, "still")
    clock.now_s += 4.5
    assert breaker.try_acquire() is None
    clock.now_s += 1
    last = breaker.try_acquire()
    assert last is not None
    breaker.record_success(last)
    assert breaker.last_error is None
    assert breaker.try_acquire() == breaker.try_acquire() != None  # noqa: E711 - all may ask again
    assert said(caplog) == ["it is in trouble: why", "it is well again."]


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What was logged, each up to where it goes on to explain."""
    assert {record.levelno for record in caplog.records} <= {logging.WARNING}
    assert {record.name for record in caplog.records} <= {"overtone.server.cache"}
    return [record.getMessage().split(". Answers")[0] for record in caplog.records]


class Server:
    """A Redis on a free port of the loopback, and on a socket; nothing of it outlives the test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.socket = folder / "redis.sock"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *options: str) -> None:
        places = ["--port", str(self.port), "--bind", "127.0.0.1", "--unixsocket", str(self.socket)]
        places += ["--dir", str(self.folder), "--logfile", str(self.folder / "log")]
        self.process = subprocess.Popen(
            ["redis-server", *places, "--save", "", "--appendonly", "no", *options],
            stdout=subprocess.DEVNULL,
        )
        until_it(self._listens, "redis-server listens", 10)

    def _listens(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
            return True
        assert self.process is not None
        assert self.process.poll() is None, (self.folder / "log").read_text()
        return False

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def send(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def do(self, *command: str | int) -> Any:
        """A command, past what is tested."""
        from redis import Redis

        with Redis(port=self.port) as client:
            return client.execute_command(*command)


@pytest.fixture
def servers() -> Iterator[Callable[..., Server]]:
    if shutil.which("redis-server") is None:
        pytest.skip("redis-server is not installed here")
    # Not pytest's folder, whose path may be too long for a socket.
    folder = Path(tempfile.mkdtemp(prefix="overtone-"))
    started: list[Server] = []

    def start(*options: str) -> Server:
        started.append(Server(folder))
        started[-1].start(*options)
        return started[-1]

    yield start
    for server in started:
        server.kill()
    shutil.rmtree(folder)


@pytest.fixture
def server(servers: Callable[..., Server]) -> Server:
    return servers()


PAUSE_S = 0.05


def patient(url: str, ttl_s: float | None = None, **settings: Any) -> RedisStore:
    """A store that gives a Redis on a busy machine its time, and asks again soon."""
    return RedisStore(url, ttl_s, **({"timeout_s": 5.0, "pause_s": PAUSE_S} | settings))


def test_redis_keeps_answers_under_the_prefix_and_with_their_time(server: Server) -> None:
    async def check() -> None:
        for place in (server.url, f"unix://{server.socket}?db=1"):
            store = patient(place, 90.0, prefix="p:")
            assert await store.get("k") is None
            await store.put("k", b"\0value\r\n\xff")
            assert await store.get("k") == b"\0value\r\n\xff"
            await store.put("k", b"new")
            assert await store.get("k") == b"new"
            assert (store.healthy, store.last_error, store.failure_count, store.held_bytes) == (True, None, 0, 0)
            await store.close()
            assert await store.get("k") is None
            await store.put("k", b"late")
        forever = patient(server.url)
        await forever.put("f", b"v")
        await forever.close()
        await forever.close()
        brief = patient(server.url, 0.0001)
        await brief.put("b", b"v")
        await brief.close()
        assert brief.healthy

    run(check())
    assert server.do("GET", "p:k") == b"new"
    assert 0 < server.do("PTTL", "p:k") <= 90_000
    assert server.do("TTL", redis_store_file.PREFIX + "f") == -1


def test_large_values_are_neither_sent_nor_read(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_store_file, "LARGEST_BYTES", 1000)

    async def check() -> None:
        store = patient(server.url, prefix="")
        await store.put("fits", bytes(1000))
        await store.put("large", bytes(1001))
        server.do("SET", "others", "x" * 1001)
        assert await store.get("fits") == bytes(1000)
        assert await store.get("large") is None
        assert await store.get("others") is None
        assert store.failure_count == 0
        await store.close()

    run(check())
    assert server.do("EXISTS", "large") == 0


def test_many_at_once_wait_for_a_connection_and_all_are_answered(server: Server) -> None:
    async def check() -> None:
        store = patient(server.url)
        await asyncio.gather(*(store.put(str(number), b"%d" % number) for number in range(200)))
        found = await asyncio.gather(*(store.get(str(number)) for number in range(200)))
        assert found == [b"%d" % number for number in range(200)]
        assert store.failure_count == 0
        assert server.do("INFO", "clients")["connected_clients"] <= redis_store_file.CONNECTIONS + 1
        await store.close()

    run(check())


def test_a_redis_that_is_killed_and_comes_back(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    name = f"Redis at 127.0.0.1:{server.port}"

    async def check() -> None:
        store = patient(server.url)
        front = ResultCache(store)
        await front.get_or_make("k", giving(b"v"))
        await until(lambda: store.get("k"))
        assert await front.get_or_make("k", never) == (b"v", "hit")
        server.kill()
        for number in range(30):  # several pauses
            key = f"dead {number}"
            assert await front.get_or_make(key, giving(b"w")) == (b"w", "miss")
            await asyncio.sleep(PAUSE_S / 5)  # it is left alone by the clock
        assert not front.healthy
        assert front.last_error is not None
        assert front.last_error.startswith(f"{name}: ")
        assert 1 < front.failure_count < 30
        assert len(said(caplog)) == 1
        server.start()

        async def back() -> bool:
            await store.get("anything")
            return front.healthy

        await until(back)
        await store.put("k", b"again")
        assert await front.get_or_make("k", never) == (b"again", "hit")
        assert front.healthy
        assert front.last_error is None
        await front.close()

    run(check())
    trouble, well = said(caplog)
    assert trouble.startswith(f"{name} is in trouble: ")
    assert well == f"{name} is well again."


def test_killed_while_many_are_asking(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    async def check() -> None:
        store = patient(server.url, pause_s=60.0)
        await store.put("k", b"v")
        server.send(signal.SIGSTOP)
        asking = [asyncio.create_task(store.get("k")) for _ in range(50)]
        await settle()
        server.kill()
        assert await asyncio.gather(*asking) == [None] * 50
        failures = store.failure_count
        assert failures > 0
        assert await asyncio.gather(*(store.get("k") for _ in range(50))) == [None] * 50
        assert store.failure_count == failures  # nobody asked during the pause
        await store.close()

    run(check())
    assert len(said(caplog)) == 1


def test_one_that_stops_answering_gives_nobody_the_answer_of_another(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    async def check() -> None:
        store = patient(server.url, timeout_s=0.3)
        for number in range(20):
            await store.put(str(number), b"%d" % number)
        assert store.healthy
        server.send(signal.SIGSTOP)
        assert await asyncio.gather(*(store.get(str(number)) for number in range(20))) == [None] * 20
        assert store.last_error == f"Redis at 127.0.0.1:{server.port}: no answer within 0.3 s"
        server.send(signal.SIGCONT)
        await until(lambda: store.get("0"))
        # Late answers to the first questions have gone with their connections.
        found = await asyncio.gather(*(store.get(str(number)) for number in range(20)))
        assert found == [b"%d" % number for number in range(20)]
        await store.close()

    run(check())
    assert len(said(caplog)) == 2


def test_connections_that_died_unnoticed_are_not_tried_one_by_one(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    async def check() -> None:
        dead: set[int] = set()
        made: list[asyncio.StreamWriter] = []

        async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
            while data := await reader.read(4096):
                if number not in dead:  # as when a firewall has forgotten a connection: nothing comes, not even its end
                    writer.write(data)
            writer.close()

        async def called(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            there, back = await asyncio.open_connection("127.0.0.1", server.port)
            made.extend((writer, back))
            number = len(made)
            await asyncio.gather(pass_on(reader, back, number), pass_on(there, writer, number))

        between = await asyncio.start_server(called, "127.0.0.1", 0)
        store = patient(f"redis://127.0.0.1:{between.sockets[0].getsockname()[1]}", timeout_s=0.5)
        await store.put("k", b"v")
        assert await asyncio.gather(*(store.get("k") for _ in range(10))) == [b"v"] * 10
        assert len(made) > 10  # several connections, each of two ends
        dead.update(range(len(made) + 1))
        assert await store.get("k") is None
        await until(lambda: store.get("k"))
        assert await asyncio.gather(*(store.get("k") for _ in range(10))) == [b"v"] * 10
        await store.close()
        between.close()
        for writer in made:
            writer.close()
        await between.wait_closed()
        await settle()

    run(check())
    assert len(said(caplog)) == 2


def test_leaving_in_the_middle_of_a_question_gives_nobody_the_answer_of_another(server: Server) -> None:
    async def check() -> None:
        store = patient(server.url)
        for number in range(10):
            await store.put(str(number), b"%d" % number)
        for steps in range(12):
            asking = [asyncio.create_task(store.get(str(number))) for number in range(10)]
            for _ in range(steps):
                await asyncio.sleep(0)
            for task in asking[::2]:
                task.cancel()
            found = await asyncio.gather(*asking, return_exceptions=True)
            for number, value in enumerate(found):
                assert value == b"%d" % number or (number % 2 == 0 and isinstance(value, asyncio.CancelledError))
        assert store.failure_count == 0
        await store.close()

    run(check())


def test_a_value_of_another_type_is_a_miss_and_replaced(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    server.do("LPUSH", "p:k", "somebody else's")

    async def check() -> None:
        store = patient(server.url, prefix="p:")
        front = ResultCache(store)
        assert await front.get_or_make("k", giving(b"v")) == (b"v", "miss")
        await until(lambda: store.get("k"))
        assert await front.get_or_make("k", never) == (b"v", "hit")
        assert front.failure_count == 1
        assert front.healthy
        await front.close()

    run(check())
    assert said(caplog) == []


def test_a_full_redis_is_still_read(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    async def check() -> None:
        store = patient(server.url)
        await store.put("k", b"v")
        server.do("CONFIG", "SET", "maxmemory", 1)
        for number in range(20):
            await store.put(f"new {number}", b"v")
            assert await store.get("k") == b"v"
            await asyncio.sleep(PAUSE_S / 5)  # likewise, for writing
        assert not store.healthy
        assert store.last_error is not None
        assert store.last_error.startswith(f"writing to Redis at 127.0.0.1:{server.port}: ")
        assert "maxmemory" in store.last_error
        server.do("CONFIG", "SET", "maxmemory", 0)

        async def written() -> bool:
            await store.put("after", b"v")
            return await store.get("after") == b"v"

        await until(written)
        assert store.healthy
        await store.close()

    run(check())
    assert len(said(caplog)) == 2


def test_one_that_comes_back_full_is_back(servers: Callable[..., Server], caplog: pytest.LogCaptureFixture) -> None:
    server = servers()

    async def check() -> None:
        store = patient(server.url)
        await store.put("k", b"v")
        server.kill()
        await store.put("k", b"v")
        server.start("--maxmemory", "1")  # of which nothing is free

        async def back() -> bool:
            await store.put("k", b"v")
            return "writing to" in str(store.last_error)

        await until(back)
        await store.close()

    run(check())
    gone, well, full = said(caplog)
    assert gone.startswith("Redis at ")
    assert well.endswith("is well again.")
    assert full.startswith("writing to Redis at ")


def test_a_wrong_password_is_trouble_that_does_not_show_it(
    servers: Callable[..., Server], caplog: pytest.LogCaptureFixture
) -> None:
    server = servers("--requirepass", f"{SECRET}/right")

    async def check() -> None:
        right = patient(f"redis://:{SECRET}%2Fright@127.0.0.1:{server.port}")
        await right.put("k", b"v")
        assert await right.get("k") == b"v"
        await right.close()
        for url in (server.url, f"redis://:{SECRET}@127.0.0.1:{server.port}"):
            wrong = patient(url)
            await wrong.put("k", b"v")
            assert await wrong.get("k") is None
            assert wrong.last_error is not None
            assert SECRET not in wrong.last_error
            await wrong.close()

    run(check())
    assert len(said(caplog)) == 2
    assert SECRET not in caplog.text


async def _answering(answer: bytes | None, store: Callable[[str], RedisStore]) -> tuple[RedisStore, int]:
    """A store that asked something which says one thing, or nothing; and how often that was called."""
    calls: list[asyncio.StreamWriter] = []

    async def called(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        calls.append(writer)
        with contextlib.suppress(OSError):
            while await reader.read(4096):
                if answer is not None:
                    writer.write(answer)
        writer.close()

    listening = await asyncio.start_server(called, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    asked = store(f"redis://:{SECRET}@127.0.0.1:{port}")
    found = await asyncio.gather(*(asked.get(str(number)) for number in range(10)))
    assert found == [None] * 10
    before = len(calls)
    for number in range(50):
        assert await asked.get(str(number)) is None
        await asked.put(str(number), b"v")
    # It was in a pause. What answers, though with a refusal, is asked once more, to write.
    assert len(calls) <= before + (answer is not None)
    await asked.close()
    listening.close()
    for writer in calls:
        writer.close()
    await listening.wait_closed()
    await settle()
    return asked, before


def test_one_that_accepts_and_says_nothing_costs_the_time_limit_once(caplog: pytest.LogCaptureFixture) -> None:
    async def check() -> None:
        started = time.monotonic()
        store, _ = await _answering(None, lambda url: RedisStore(url, timeout_s=0.2, pause_s=60.0))
        # Ten at once and a hundred after them: 0.2 s, and 22 if each had to find out for itself.
        assert time.monotonic() - started < 5
        assert store.last_error is not None
        assert SECRET not in store.last_error

    run(check())
    assert len(said(caplog)) == 1


@pytest.mark.parametrize(
    "answer",
    [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"-ERR unknown command `AUTH`, with args beginning with: `hunter2`\r\n",
     b"$-7\r\n", b"*100000000\r\n", b"-\r\n", b"-LOADING Redis is loading the dataset in memory\r\n"],
)  # fmt: skip
def test_one_that_is_no_redis_is_trouble_that_shows_no_password(
    answer: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async def check() -> None:
        store, _ = await _answering(answer, lambda url: RedisStore(url, timeout_s=0.5, pause_s=60.0))
        assert not store.healthy
        assert store.failure_count > 0
        assert SECRET not in str(store.last_error)

    run(check())
    assert SECRET not in caplog.text
