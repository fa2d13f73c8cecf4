"""The load benchmark's own parts: percentiles, schedules, what counts, the client, and the tables."""

from __future__ import annotations

import asyncio
import importlib
import itertools
import sys
import wave
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from helpers.paths import BENCH

Answering = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The files of bench/ import each other by name."""
    if not BENCH.is_dir():
        pytest.skip("bench/ does not come with the package")
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(BENCH))
    yield
    for name in set(sys.modules) - before:
        if str(BENCH) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


@pytest.fixture
def figures() -> ModuleType:
    return importlib.import_module("serve_figures")


@pytest.fixture
def http() -> ModuleType:
    return importlib.import_module("serve_http")


@pytest.fixture
def load() -> ModuleType:
    return importlib.import_module("serve_load")


@pytest.fixture
def tables() -> ModuleType:
    return importlib.import_module("serve_tables")


# Arithmetic


def test_a_percentile_is_a_value_that_was_measured(figures):
    hundred = [float(value) for value in range(100, 0, -1)]
    assert [figures.percentile(hundred, percent) for percent in (50, 95, 99, 100)] == [50, 95, 99, 100]
    assert figures.percentile([3.0, 1.0, 2.0], 50) == 2.0
    assert figures.percentile([7.0], 99) == 7.0
    assert figures.percentile([], 50) is None


def test_random_moments_have_the_rate_asked_for(figures):
    moments = figures.arrivals(50, 40)
    assert moments == sorted(moments) == figures.arrivals(50, 40)
    assert moments[0] > 0
    assert moments[-1] < 40
    assert abs(len(moments) - 2000) < 4 * 2000**0.5
    gaps = [later - earlier for earlier, later in itertools.pairwise(moments)]
    # Of exponential gaps as many as 1 - 1/e are under the mean; of even ones none would be far from it.
    assert abs(sum(gap < 1 / 50 for gap in gaps) / len(gaps) - 0.632) < 0.05


def test_clips_take_turns_and_a_long_file_comes_once_in_so_many(figures):
    sent = list(itertools.islice(figures.turns(10, long_in=50), 500))
    assert [place for place, clip in enumerate(sent) if clip == 10] == list(range(25, 500, 50))
    short = [clip for clip in sent if clip != 10]
    assert Counter(short) == dict.fromkeys(range(10), 49)
    assert sorted(short[:10]) == sorted(short[10:20]) == list(range(10))
    assert short[:10] != short[10:20]
    assert set(itertools.islice(figures.turns(10), 500)) == set(range(10))


def test_what_ends_in_the_time_counts_whenever_it_began(figures):
    def sent(began_s: float, ended_s: float, status: int | str = 200, **more: object) -> object:
        return figures.SubmittedSource("short", 2.0, began_s, ended_s, status, **more)

    found = figures.figures_of(
        [
            sent(0, 5),  # before
            sent(6, 12),
            sent(11, 19),  # later than the deadline
            sent(13, 14, 429, retry_after=True),
            sent(14, 16, 429),
            sent(14, 17, "ConnectionResetError"),
            sent(18, 20.0),
            sent(18, 21),  # after
        ],
        10,
        20,
        deadline_s=7,
    )
    assert (found["answered"], found["too_late"], found["seconds"]) == (2, 1, 10)
    assert found["audio_per_s"] == 0.4
    assert found["requests_per_s"] == 0.2
    assert found["statuses"] == {"200": 3, "429": 2, "ConnectionResetError": 1}
    assert found["latency"]["short"] == {"count": 2, "p50_s": 2, "p95_s": 6, "p99_s": 6, "most_s": 6}
    assert (found["refusals"]["count"], found["refusals"]["p50_s"], found["refusals"]["most_s"]) == (2, 1, 2)
    assert found["without_retry_after"] == 1
    assert figures.failures(found["statuses"], 429) == {"ConnectionResetError": 1}


def test_metrics_are_read_and_compared(figures):
    text = (
        "# TYPE overtone_engine_run_seconds_total counter\novertone_engine_run_seconds_total {run}\n"
        'overtone_jobs{{state="running"}} 1\novertone_engine_audio_seconds_total {audio}\n'
        "overtone_engine_padded_seconds_total {padded}\n"
    )
    before = figures.exposed(text.format(run=1.5, audio=10, padded=20))
    after = figures.exposed(text.format(run=4.5, audio=28, padded=40))
    assert "overtone_jobs" not in after
    share = figures.engine_share(before, after, 4.0)
    assert share == {"model_busy": 0.75, "model_audio_per_s": 4.5, "batch_fill": 0.9, "segments_per_batch": None}


# The client


def test_a_marked_request_differs_in_the_last_samples_of_its_file_alone(http):
    content = bytes(range(100))
    request = http.post("/v1/emotion", "a.wav", content)
    head, body = request.split(b"\r\n\r\n", 1)
    assert f"Content-Length: {len(body)}".encode() in head
    assert content in body
    marks = {http.marked(request, number) for number in range(300)}
    assert len(marks) == 300
    marked = http.marked(request, 0x1234ABCD)
    assert len(marked) == len(request)
    start = request.index(content)
    assert marked[: start + 84] == request[: start + 84]
    assert marked[start + 100 :] == request[start + 100 :]
    assert max(marked[start + 84 : start + 100 : 2]) < 16
    assert set(marked[start + 85 : start + 100 : 2]) == {0}


async def _serving(answering: Answering, using: Callable[[int], Awaitable[object]]) -> object:
    """What `using` returns of a port at which each connection is answered so."""

    async def each(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await answering(reader, writer)
        except (EOFError, OSError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(each, "127.0.0.1", 0)
    async with server:
        return await asyncio.wait_for(using(server.sockets[0].getsockname()[1]), 30)


async def _request(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = next((line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), b":0")
    return head + await reader.readexactly(int(length.split(b":")[1]))


def test_a_connection_is_kept_and_opened_again(http):
    opened = []

    async def answering(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        opened.append(1)
        await _request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab")
        await _request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\ncd\r\n3\r\nefg\r\n0\r\n\r\n")
        await _request(reader)
        writer.write(b"HTTP/1.1 429 Busy\r\nRetry-After: 3\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()

    async def using(port: int) -> list[object]:
        connection = http.Connection(port)
        replies = [await connection.ask(http.get("/")) for _ in range(4)]
        connection.close()
        return [(reply.status, reply.body, reply.headers.get("retry-after")) for reply in replies]

    found = asyncio.run(_serving(answering, using))
    assert found == [(200, b"ab", None), (200, b"cdefg", None), (429, b"", "3"), (200, b"ab", None)]
    assert len(opened) == 2


def _wav(path: Path) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(bytes(3200))
    return path


def test_a_closed_loop_asks_again_when_it_is_answered(load, tmp_path):
    clip, bodies = (str(_wav(tmp_path / "a.wav")), 0.1), []

    async def answering(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            bodies.append(await _request(reader))
            writer.write(b'HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n{"scores":1}')

    async def using(port: int) -> object:
        return await load.Closed(port=port, clips=[clip], clients=1, seconds=20, requests=5, scrape=False).run()

    found = asyncio.run(_serving(answering, using))
    assert found["statuses"] == {"200": 5}
    assert len(found["latencies_s"]) == found["answered"] == 5
    assert found["audio_per_s"] == pytest.approx(0.5 / found["seconds"])
    assert len(set(bodies)) == 5, "equal files could be answered together"


def test_an_open_loop_sends_whether_it_is_answered_or_not(load, tmp_path):
    clip, taken = (str(_wav(tmp_path / "a.wav")), 0.1), itertools.count()

    async def answering(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = next(taken)
        while True:
            await _request(reader)
            if number == 0:
                await asyncio.sleep(60)  # it holds its connection, and the others are used
            writer.write(b"HTTP/1.1 429 Busy\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n")

    async def using(port: int) -> object:
        given = {"port": port, "clips": [clip], "rate": 100.0, "seconds": 0.5, "deadline_s": 1.0}
        alone = await load.Open(**given, connections=1).run()
        return alone, await load.Open(**given, connections=50).run()

    alone, many = asyncio.run(_serving(answering, using))
    planned = len(importlib.import_module("serve_figures").arrivals(100, 0.5))
    assert alone["statuses"] == {}
    assert alone["unsent"] == planned - 1
    assert many["unsent"] == 0
    assert set(many["statuses"]) == {"429"}
    assert many["without_retry_after"] == 0
    assert many["offered_audio_per_s"] == pytest.approx(0.1 * many["offered_requests_per_s"])


def test_a_server_that_goes_away_is_counted(load, tmp_path):
    clip = (str(_wav(tmp_path / "a.wav")), 0.1)

    async def answering(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _request(reader)

    async def using(port: int) -> object:
        return await load.Closed(port=port, clips=[clip], clients=1, seconds=20, requests=2, scrape=False).run()

    found = asyncio.run(_serving(answering, using))
    assert found["statuses"] == {"IncompleteReadError": 2}
    assert found["answered"] == 0


# Tables

SPREAD = {"count": 60, "p50_s": 0.02, "p95_s": 0.5, "p99_s": 2.0, "most_s": 3.0}
NO_RESERVE = {"count": 0, "p50_s": None, "p95_s": None, "p99_s": None, "most_s": None}

LEVEL = {
    "clients": 32,
    "seconds": 40.0,
    "answered": 130,
    "audio_per_s": 9.6,
    "requests_per_s": 3.3,
    "statuses": {"200": 130, "504": 2},
    "latency": {"short": SPREAD},
    "peak_bytes": 900 << 20,
    "own_peak_bytes": 890 << 20,
    "budget_bytes": 2048 << 20,
    "model_busy": 0.98,
    "cpu_s": 1.25,
}

ABOUT = {"files": 120, "corpus": "emodb/wav"}


def test_a_part_that_was_not_measured_has_no_table(tables):
    assert tables.tables_of({}) == []
    assert tables.notes_of({}) == [("part", "how")]


def test_throughput_stands_beside_the_folder(tables):
    run = {"audio_per_s": 10.0, "audio_s": 400.0, "seconds": 40.0, "files": 120, "run_s": 39.6, "peak_bytes": 1 << 30}
    theirs = {**LEVEL, "audio_per_s": 5.0, "own_peak_bytes": None, "model_busy": None, "died": "killed"}
    found = {
        "throughput": {
            "folder": [run, {**run, "audio_per_s": 10.2}],
            "levels": {"1": LEVEL, "32": {**LEVEL, "of_folder": [0.9, 0.97, 0.98]}},
            **ABOUT,
        },
        "plain": {"levels": {"32": theirs}, **ABOUT},
    }
    (rows,) = tables.tables_of(found)
    head, folder, one, target, funasr = ([*row] for row in rows)
    assert {len(row) for row in rows} == {len(head)}
    assert folder[3] == "10.1 (10.0 to 10.2)"
    assert (one[2], one[-1]) == ("95 %", "")
    assert (target[1], target[2], target[-1]) == ("32", "97 %", "≥ 97 %")
    assert target[3:12] == [
        "9.6",
        "3.30",
        "20.0 ms",
        "0.500 s",
        "2.00 s",
        "504: 2",
        "900 MiB (890 MiB by its metrics)",
        "98 %",
        "1.25 s of 40",
    ]
    assert (funasr[0], funasr[2], funasr[8]) == ("FunASR + FastAPI", "50 %", "died: killed")
    assert len(tables.notes_of(found)) == 3


def test_the_other_tables(tables):
    found = {
        "mixed": {**LEVEL, "latency": {"short": SPREAD, "long": SPREAD}, "long_in": 50, "deadline_s": 300.0, **ABOUT},
        "beside": {
            "alone": LEVEL,
            "beside": {**LEVEL, "latency": {"short": {**SPREAD, "p95_s": 0.9}}},
            "long_clients": 4,
            **ABOUT,
        },
        "overload": {
            **LEVEL,
            **ABOUT,
            "able": LEVEL,
            "times": 4.0,
            "queue_audio_s": 48.0,
            "deadline_s": 10.0,
            "too_late": 1,
            "statuses": {"200": 100, "429": 300, "503": 1},
            "audio_per_s": 9.12,
            "refusals": {**SPREAD, "count": 300},
            "without_retry_after": 0,
            "offered_audio_per_s": 38.4,
            "offered_requests_per_s": 13.2,
            "unsent": 0,
            "late_p99_s": 0.003,
        },
        "latency": {
            "idle": LEVEL,
            "busy": {**LEVEL, "latency": {"short": {**SPREAD, "p95_s": 1.25}}, "rounds": 6, "rounds_cut_short": 0},
            **ABOUT,
        },
    }
    mixed, beside, overload, latency = tables.tables_of(found)
    for table in (mixed, beside, overload, latency):
        assert {len(row) for row in table} == {len(table[0])}
    assert [row[0] for row in mixed[1:]] == [
        "32 clients, 40 s",
        "short clips",
        "10-minute files, one in 50 requests",
    ]
    assert [row[0] for row in beside[1:]] == ["32 clients alone", "32 clients, 4 more with 10-minute files"]
    assert beside[2][-2:] == ("1.80 ×", "≤ 2 ×")
    cells = {row[0]: row[1] for row in overload}
    assert cells["answered within 10 s"] == "9.1 audio s/s, 95 % of what can be"
    assert cells["time to a 429 (300): p50, p95, p99"] == "20.0 ms, 0.500 s, 2.00 s"
    assert cells["other statuses"] == "503: 1"
    assert cells["peak memory, of the budget"] == "900 MiB (890 MiB by its metrics), 44 % of 2048 MiB"
    assert latency[2][5] == "2.50 ×"
    found["overload"]["refusals"] = found["latency"]["idle"]["latency"]["short"] = NO_RESERVE
    assert tables.tables_of(found)[3][2][5] == ""
    assert "left out: because" in tables.notes_of({"plain": {"left_out": "because", **ABOUT}})[1][1]
