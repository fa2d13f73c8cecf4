"""Clients that vanish, dawdle or send what is not what it looks like: they cost little, and nobody else anything."""

from __future__ import annotations

import contextlib
import functools
import itertools
import json
import os
import resource
import socket
import struct
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
import websockets
from websockets.sync.client import connect

from helpers.audio_files import voice, wav
from helpers.server.serving_process import FEW, MEMORY, ServiceProcess, head, serving
from helpers.server.sounds import channels_of_au, clip, nested_mp4, silence, speech, unclaimed
from helpers.waiting import until
from overtone.server.auth import add_key
from overtone.server.inference.live_audio import open_reader
from overtone.system.memory import MIB, parse_size

DOZENS = 40

BOMB_S = 20.0
"""Seconds in which a file that is refused is refused, on a busy machine; one is usual."""


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    """For what leaves no trace, or should not. It waits for less long than is usual, and takes shorter files."""
    flags = ("--upload-idle-s", "2", "--max-audio-s", "240")
    sooner = {"head": 2.0, "kept_alive": 3.0, "refused": 1.0, "trickling": 2.5}
    with serving(tmp_path_factory.mktemp("shared"), *flags, sooner=sooner) as running:
        yield running


def reset(connection: socket.socket) -> None:
    """Vanish, as a process that is killed or a phone that loses its network."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def all_of(connection: socket.socket, within_s: float = 30.0) -> bytes:
    """What comes until the other side closes."""
    connection.settimeout(within_s)
    data = b""
    with contextlib.suppress(ConnectionResetError):
        while piece := connection.recv(65536):
            data += piece
    return data


@pytest.mark.slow
def test_clients_that_vanish_leave_nothing(tmp_path: Path) -> None:
    seeds = itertools.count(1000)
    with serving(tmp_path, failing=True) as service:

        def vanish(whole: bool, count: int) -> None:
            """Many come at once, with a whole upload or the beginning of one, and go."""
            with contextlib.ExitStack() as came:
                for _ in range(count):
                    connection = came.enter_context(socket.create_connection(service.address))
                    came.callback(reset, connection)
                    file = clip(next(seeds), 1.0)
                    connection.sendall(head(length=len(file) if whole else 10 << 20) + file)
                    if not whole:
                        connection.sendall(bytes(1 << 20))
                if whole:
                    until(lambda: service.queued_s() >= count / 2, "they wait for answers")
                else:
                    until(lambda: service.metrics()["overtone_uploads_bytes"] > 0, "they are written")

        for whole in (True, False):  # whatever threads there can be are there after this
            with service.held():
                vanish(whole, DOZENS)
            descriptors, _, files = service.settled()
            assert files == []
        run = service.metrics()["overtone_engine_segments_total"]
        with service.held():
            vanish(whole=True, count=DOZENS)
            vanish(whole=False, count=DOZENS)
            until(lambda: service.queued_s() <= 2, "nobody waits any more")  # but for a batch that is held
        after = service.settled()
        assert after[0] <= descriptors + FEW
        assert after[1] < 4.5 * DOZENS  # as many as its pools may have, and not one for each of those that came
        assert after[2] == []
        metrics = service.metrics()
        assert metrics["overtone_uploads_bytes"] == 0
        assert metrics["overtone_queue_bytes"] == 0
        # One batch was being tried when they went; what the others had sent was never run.
        assert metrics["overtone_engine_segments_total"] - run < DOZENS / 2
        assert service.post("/v1/emotion", clip(999)).status_code == 200


@pytest.mark.skipif(int(websockets.__version__.split(".")[0]) < 17, reason="this client's sockets outlive their reset")
def test_listeners_that_vanish_leave_nothing(tmp_path: Path) -> None:
    """Those who watch a job, and those who speak."""
    with serving(tmp_path, failing=True) as service:

        def vanish() -> None:
            with service.held(), contextlib.ExitStack() as came:
                id = service.post("/v1/jobs", clip(1)).json()["id"]
                for _ in range(DOZENS):
                    connection = came.enter_context(socket.create_connection(service.address))
                    came.callback(reset, connection)
                    connection.sendall(f"GET /v1/jobs/{id}/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
                    assert connection.recv(100).startswith(b"HTTP/1.1 200 ")
                address = f"ws://127.0.0.1:{service.port}/v1/stream"
                for seed in range(8):
                    spoken = came.enter_context(connect(address, proxy=None, close_timeout=0.1))
                    came.callback(reset, spoken.socket)
                    spoken.send(clip(seed, 2.5)[44:])
                until(lambda: service.metrics()["overtone_live_streams"] == 8, "they are there")

        vanish()
        descriptors, _, _ = service.settled()
        vanish()
        until(lambda: service.metrics()["overtone_live_streams"] == 0, "they are gone")
        until(lambda: service.metrics()['overtone_jobs{state="running"}'] == 0, "the jobs are done")
        after = service.settled()
        assert after[0] <= descriptors + FEW
        assert after[2] == []
        assert service.metrics()["overtone_queue_bytes"] == 0


def test_messages_that_complete_no_sample_are_none() -> None:
    pcm, opus = open_reader("pcm16", 8000, 2), open_reader("opus", 16_000, 1)
    for message in (b"", b"x", b"xx"):
        assert sum(map(len, pcm.read(message))) == 0
    assert sum(map(len, opus.read(b""))) == 0
    assert sum(map(len, pcm.read(bytes(32_001)))) == 8_001  # and one byte of the next


@pytest.mark.slow
def test_uploads_that_stall_hold_little_memory(tmp_path: Path) -> None:
    """Each is small enough to wait in memory for the rest of it; all together are not."""
    with serving(tmp_path) as service:
        assert service.post("/v1/emotion", clip(1)).status_code == 200
        before = service.rss_bytes()
        with contextlib.ExitStack() as stalled:
            for _ in range(200):
                connection = stalled.enter_context(socket.create_connection(service.address))
                connection.sendall(head() + bytes(1_000_000))
            until(lambda: len(service.left_behind()) > 100, "most are on disk")
            time.sleep(1)  # what stays in memory is told by nothing but the memory
            assert service.rss_bytes() - before < 180 * MIB
            assert service.post("/v1/emotion", clip(2)).status_code == 200
        until(lambda: service.left_behind() == [], "nothing is left on disk")
        assert service.metrics()["overtone_uploads_bytes"] == 0


def test_a_dawdling_upload_is_given_up(shared: ServiceProcess) -> None:
    with socket.create_connection(shared.address) as connection:
        connection.sendall(head() + clip(1))
        answer = all_of(connection)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b'"code":"upload_timeout"' in answer


@pytest.mark.slow
def test_a_trickling_upload_is_given_up(shared: ServiceProcess) -> None:
    """A byte now and then is more than nothing, and too little."""
    answer = b""
    with socket.create_connection(shared.address) as connection:
        connection.sendall(head())
        connection.settimeout(0.3)
        began = time.monotonic()
        while not answer and time.monotonic() - began < 40:
            with contextlib.suppress(ConnectionError):
                connection.sendall(b"x")
            with contextlib.suppress(TimeoutError):
                answer = connection.recv(1000)
    assert answer.startswith(b"HTTP/1.1 408 ")


def test_a_refused_upload_cannot_trickle_on(shared: ServiceProcess) -> None:
    """What is read of it, so that its client sees why, ends some time."""
    answer = b""
    with socket.create_connection(shared.address) as connection:
        connection.sendall(head("/v1/nothing"))
        connection.settimeout(0.1)
        began = time.monotonic()
        while not answer and time.monotonic() - began < 30:
            with contextlib.suppress(ConnectionError):
                connection.sendall(b"x")
            with contextlib.suppress(TimeoutError):
                answer = connection.recv(1000)
    assert answer.startswith(b"HTTP/1.1 404 ")


def test_who_asks_before_sending_is_not_told_to_go_on(shared: ServiceProcess) -> None:
    with socket.create_connection(shared.address) as connection:
        connection.sendall(head("/v1/nothing", more="Expect: 100-continue\r\n"))
        answer = all_of(connection)
    assert answer.startswith(b"HTTP/1.1 404 ")
    with socket.create_connection(shared.address) as connection:
        file = clip(3)
        connection.sendall(head(length=len(file), more="Expect: 100-continue\r\nConnection: close\r\n"))
        assert connection.recv(100).startswith(b"HTTP/1.1 100 ")
        connection.sendall(file)
        assert all_of(connection).startswith(b"HTTP/1.1 200 ")


def test_who_sends_no_more_after_an_upload_gets_its_answer(shared: ServiceProcess) -> None:
    file = clip(4)
    with socket.create_connection(shared.address) as connection:
        connection.sendall(head(length=len(file)) + file)
        connection.shutdown(socket.SHUT_WR)
        answer = all_of(connection)
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert answer.count(b"HTTP/1.1") == 1
    assert b'"label"' in answer


def test_who_closes_after_an_upload_is_not_worked_for(tmp_path: Path) -> None:
    """Without a reset: as a program does that ends in order."""
    with serving(tmp_path, failing=True) as service, service.held():
        for seed in range(DOZENS // 4):
            file = clip(2000 + seed)
            with socket.create_connection(service.address) as connection:
                connection.sendall(head(length=len(file)) + file)
        gone = 'overtone_refused_total{code="gone"}'
        until(lambda: service.metrics().get(gone) == DOZENS // 4, "all are known to have gone")
        assert service.queued_s() <= 2  # but for a batch that is held


@pytest.mark.slow
def test_a_connection_that_says_too_little_is_closed(shared: ServiceProcess) -> None:
    """Nothing, half of a request, or half of another after a whole one."""
    whole = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    said = (b"", whole[:30], whole + whole[:30])
    with contextlib.ExitStack() as open:
        connections = [open.enter_context(socket.create_connection(shared.address)) for _ in said]
        for connection, text in zip(connections, said, strict=True):
            connection.sendall(text)
        silent, half, further = (all_of(connection) for connection in connections)
    assert (silent, half) == (b"", b"")
    assert further.startswith(b"HTTP/1.1 200 ")


@pytest.mark.slow
def test_answers_that_nobody_reads_are_let_go(tmp_path: Path) -> None:
    """More of them than the system keeps: whoever sends them would wait for ever."""
    with serving(tmp_path, sooner={"stalled": 4.0}) as service:
        id = service.post("/v1/jobs", speech(200.0), params={"granularity": "frame"}).json()["id"]
        assert service.finished(id)["state"] == "done"
        result = f"/v1/jobs/{id}/result"
        assert len(service.get(result).content) > MIB / 4
        descriptors, _, _ = service.settled()
        with contextlib.ExitStack() as asked:
            for _ in range(DOZENS // 2):
                connection = asked.enter_context(socket.socket())
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                connection.connect(service.address)
                connection.sendall(f"GET {result} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode() * 50)
            until(lambda: service.process.num_fds() >= descriptors + DOZENS // 2, "they are all there")
            until(lambda: service.process.num_fds() <= descriptors + FEW, "they are closed", 90, pause_s=0.1)
        assert service.post("/v1/emotion", clip(1)).status_code == 200


@pytest.mark.slow
def test_more_connections_than_descriptors(tmp_path: Path) -> None:
    """Where a process may have few files open, connections do not take the last of them."""
    if resource.getrlimit(resource.RLIMIT_NOFILE)[0] < 1200:
        pytest.skip("this process may not open enough connections")
    with serving(tmp_path, descriptors=1000) as service:
        assert service.post("/v1/emotion", clip(1)).status_code == 200
        most = 0
        with contextlib.ExitStack() as silent:
            for _ in range(950):
                silent.enter_context(socket.create_connection(service.address))
                most = max(most, service.process.num_fds())
        assert 300 < most < 850
        until(lambda: service.process.num_fds() < 100, "they are gone")
        assert service.post("/v1/emotion", clip(2)).status_code == 200
        assert "Too many open files" not in service.log()
        assert "system resource" not in service.log()


@functools.cache
def an_hour() -> bytes:
    return silence(3600, "flac", "flac")


BOMBS = {
    "wav-67000-s": lambda: wav(voice(0.5), claimed_bytes=67_000 * 64_000 & 0xFFFFFFFF),
    "wav-65535-channels": lambda: wav(voice(0.5), channels=65_535),
    "au-1000000-channels": lambda: channels_of_au(1_000_000),
    "flac-hour": an_hour,
    "flac-hour-unclaimed": lambda: unclaimed(an_hour()),
    "aac-10-min": lambda: silence(600, "mp4", "aac"),
    "mp3-5-min": lambda: silence(300, "mp3", "mp3", 16_000),
    "opus-5-min": lambda: silence(300, "ogg", "opus", 48_000),
    "mp4-nested": lambda: nested_mp4(100_000),
    "mp4-nested-shallow": lambda: nested_mp4(12),
    "riff-nested": lambda: b"RIFF\xff\xff\xff\xffWAVE" + b"LIST\xff\xff\xff\xffWAVE" * 50_000,
    "zeros": lambda: bytes(4 << 20),
    "id3-huge": lambda: b"ID3\x04\x00\x00\x7f\x7f\x7f\x7f" + bytes(100_000),
    "playlist": lambda: b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n",
    "concat": lambda: b"ffconcat version 1.0\nfile /etc/passwd\n",
    "sdp": lambda: b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 5004 RTP/AVP 0\n",
}


@pytest.mark.slow
@pytest.mark.parametrize("name", BOMBS)
def test_files_that_turn_into_more_than_they_look_like(shared: ServiceProcess, name: str) -> None:
    data = BOMBS[name]()
    began = time.monotonic()
    answer = shared.post("/v1/emotion", data, params={"name": name})
    assert time.monotonic() - began < BOMB_S
    assert 400 <= answer.status_code < 500, answer.text[:300]
    assert answer.headers["content-type"] == "application/problem+json"
    assert "passwd" not in answer.text
    assert shared.queued_s() == 0
    assert shared.left_behind() == []
    assert shared.peak_bytes() < parse_size(MEMORY)


def test_a_job_of_nothing_is_a_job_of_little(shared: ServiceProcess) -> None:
    """What is too long to be answered at once is answered as a job, in little memory."""
    id = shared.post("/v1/jobs", silence(1200, "flac", "flac")).json()["id"]
    assert shared.finished(id)["state"] == "done"
    (record,) = shared.records(id)
    assert record["duration"] == pytest.approx(1200, abs=0.1)
    assert shared.peak_bytes() < parse_size(MEMORY)


def test_keys_and_places_are_told_to_nobody(tmp_path: Path) -> None:
    keys = tmp_path / "keys.json"
    key, other = add_key(keys, "us"), add_key(keys, "them")
    mine, theirs, wrong = ({"Authorization": f"Bearer {k}"} for k in (key, other, f"{key[:-3]}abc"))
    answers: list[httpx.Response] = []
    with serving(tmp_path, "--keys", keys) as service:
        file = clip(1)
        for headers, status in ((None, 401), (wrong, 401), ({"Authorization": f"Basic {key}"}, 401), (mine, 200)):
            answers.append(service.post("/v1/emotion", file, headers=headers or {}, params={"name": "a.wav"}))
            assert answers[-1].status_code == status
        job = service.post("/v1/jobs", file, headers=mine)
        id = job.json()["id"]
        for path in (f"/v1/jobs/{id}", f"/v1/jobs/{id}/events", f"/v1/jobs/{id}/result", "/v1/models", "/metrics"):
            for headers, status in (({}, 401), (wrong, 401)):
                answers.append(service.get(path, headers=headers))
                assert answers[-1].status_code == status, path
        until(lambda: service.get(f"/v1/jobs/{id}", headers=mine).json()["state"] == "done", "it is done")
        for path in (f"/v1/jobs/{id}", f"/v1/jobs/{id}/events", f"/v1/jobs/{id}/result"):
            answers += [service.get(path, headers=mine), service.get(path, headers=theirs)]
            assert [answer.status_code for answer in answers[-2:]] == [200, 404]
        with service.client() as client:
            answers.append(client.delete(f"/v1/jobs/{id}", headers=theirs))
            assert answers[-1].status_code == 404
        # A key in the wrong place, and all that can be refused.
        answers.append(service.get(f"/v1/jobs/{key}", headers=mine))
        answers.append(service.get("/v1/models", params={"key": key}, headers=mine))
        for data in (b"", b"nothing", wav(voice(0.5), channels=65_535), nested_mp4(5)):
            answers.append(service.post("/v1/emotion", data, headers=mine))
            answers.append(service.post("/v1/embeddings", data, headers=mine, params={"format": "npz"}))
        answers.append(service.post("/v1/emotion", file, headers=mine, params={"hop": "x"}))
        answers.append(service.post("/v1/emotion", file, headers={**mine, "Content-Type": "text/plain"}))
        answers.append(service.get("/healthz"))
        answers.append(service.get("/readyz"))
        answers.append(service.get("/openapi.json"))
        log = service.log()
    told = [log, *(answer.text + repr(answer.headers) for answer in answers if key not in str(answer.request.url))]
    for text in told:
        for secret in (key, other, key[3:30]):
            assert secret not in text
        for place in (str(tmp_path), os.path.expanduser("~"), "site-packages", "overtone-uploads-"):
            assert place not in text
    assert '"key": "us"' in log


def test_what_clients_call_things_cannot_write_the_log(shared: ServiceProcess) -> None:
    """Lines stay lines, whatever names, paths and headers are made of."""
    nasty = 'a"b\\c\r\n{"level":"error"}\x1b[31m\u202e.wav'
    with shared.client() as client:
        client.post("/v1/emotion", files={"file": (nasty, clip(5))})
        client.post("/v1/emotion", content=clip(5), params={"name": nasty}, headers={"Content-Type": "audio/wav"})
        client.get("/%1b%5b31m%0d%0a%22%7d%e2%80%ae")
        client.get("/healthz", headers={"X-Request-ID": 'x" onload'})
    lines = shared.log().splitlines()
    for line in lines:
        assert "\x1b" not in line
        assert "onload" not in line
        assert json.loads(line)["level"] != "error" or "fault" not in line


def test_a_service_that_was_attacked_is_as_it_was(shared: ServiceProcess) -> None:
    """The last of those that share one: many good answers at once, and nothing left."""
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda i: shared.post("/v1/emotion", clip(100 + i)), range(32)))
    assert {answer.status_code for answer in answers} == {200}
    assert shared.alive
    assert shared.settled()[2] == []
    assert '"status": 500' not in shared.log()
