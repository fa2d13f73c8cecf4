"""Kills, signals, a Redis that goes and a disk that fills: what was promised before is kept after."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from helpers.server.serving_process import ServiceProcess, head, serving
from helpers.server.sounds import clip, speech
from helpers.server.transcribing import recognizer_of
from helpers.waiting import until
from overtone.server.jobs.segment_codec import RECALLED

LONG_S = 160.0
"""Seconds of a file of some dozens of segments."""

BUSY_S = 240.0
"""Seconds in which so long a file is transcribed on a machine with much else to do."""


_NOT_SAID = ("timings", "score", "scores", "pooled", "segments", "embedding")


def said(record: dict[str, Any]) -> dict[str, Any]:
    """What a record says, without how long it took and without numbers that may differ in the last digit."""
    return {key: value for key, value in record.items() if key not in _NOT_SAID}


def same(one: dict[str, Any], other: dict[str, Any]) -> None:
    """Two records say the same: scores to a digit of the six that are written."""
    assert said(one) == said(other)
    assert one["scores"] == pytest.approx(other["scores"], abs=1.5e-6)
    assert one["pooled"]["label"] == other["pooled"]["label"]
    assert one["pooled"]["scores"] == pytest.approx(other["pooled"]["scores"], abs=1.5e-6)
    assert len(one["segments"]) == len(other["segments"]) > 10
    for mine, theirs in zip(one["segments"], other["segments"], strict=True):
        assert (mine["start"], mine["end"], mine["label"]) == (theirs["start"], theirs["end"], theirs["label"])
        assert mine["scores"] == pytest.approx(theirs["scores"], abs=1.5e-6)


def runs(service: ServiceProcess, id: str) -> bool:
    return bool(service.job(id)["state"] == "running")


def answered_s(service: ServiceProcess) -> float:
    """Seconds of audio that its model has run."""
    return service.metrics()["overtone_engine_audio_seconds_total"]


@pytest.mark.slow
def test_a_long_job_that_is_killed_goes_on_where_it_was(tmp_path: Path) -> None:
    file = speech(LONG_S)
    hold = tmp_path / "hold-after"  # so that it is not done when it is killed
    hold.write_text(f"{0.2 * LONG_S}", encoding="utf-8")
    with ServiceProcess(tmp_path, failing=True) as first:
        id = first.post("/v1/jobs", file, params={"name": "long.wav", "embeddings": True}).json()["id"]
        done_s = until(lambda: (now := answered_s(first)) >= 0.2 * LONG_S and now, "some of it is answered")
        first.kill()
    hold.unlink()
    with serving(tmp_path) as second:
        assert second.finished(id)["state"] == "done"
        run_s = answered_s(second)
        (resumed,) = second.records(id)
        # The same file again, by a service that nothing happens to.
        again = second.post("/v1/jobs", file, params={"name": "long.wav", "embeddings": True}).json()["id"]
        assert second.finished(again)["state"] == "done"
        (whole,) = second.records(again)
        all_s = answered_s(second) - run_s
    same(resumed, whole)
    assert resumed["embedding"] == pytest.approx(whole["embedding"], abs=1e-5)
    assert RECALLED in resumed["timings"]["notes"]
    assert RECALLED not in whole["timings"].get("notes", [])
    # What had been answered was not run again; a batch or two may have been on their way to disk.
    assert all_s > 0.6 * LONG_S  # the rest is silence
    assert run_s < all_s - 0.7 * done_s


@pytest.mark.slow
def test_a_long_transcription_that_is_killed_goes_on_where_it_was(tmp_path: Path) -> None:
    flags = ("--transcriber", recognizer_of())
    file = speech(LONG_S)
    hold = tmp_path / "hold-after"  # for the mood of sentences, of which words are not far ahead
    hold.write_text(f"{0.2 * LONG_S}", encoding="utf-8")
    asked = {"params": {"name": "long.wav", "task": "transcribe"}}
    with ServiceProcess(tmp_path, *flags, failing=True) as first:
        id = first.post("/v1/jobs", file, **asked).json()["id"]
        done_s = until(lambda: (now := answered_s(first)) >= 0.2 * LONG_S and now, "some of it is answered", BUSY_S)
        first.kill()
    hold.unlink()
    with serving(tmp_path, *flags) as second:
        assert second.finished(id, BUSY_S)["state"] == "done"
        run_s = answered_s(second)
        (resumed,) = second.records(id)
        again = second.post("/v1/jobs", file, **asked).json()["id"]
        assert second.finished(again, BUSY_S)["state"] == "done"
        (whole,) = second.records(again)
        all_s = answered_s(second) - run_s
    assert len(whole["text"]) > 200
    assert {**resumed, "timings": None} == {**whole, "timings": None}
    assert RECALLED in resumed["timings"]["notes"]
    assert RECALLED not in whole["timings"].get("notes", [])
    # Half of what was run was for the mood of sentences, and is run again.
    assert run_s < all_s - 0.7 * done_s / 2


@pytest.mark.slow
def test_no_job_is_lost_or_doubled_where_it_is_killed_while_they_come_in(tmp_path: Path) -> None:
    accepted: dict[str, str] = {}
    with ServiceProcess(tmp_path) as first:

        def hand_in(client: int) -> None:
            with contextlib.suppress(httpx.HTTPError):
                for number in range(1000):
                    name = f"{client}-{number}.wav"
                    answer = first.post("/v1/jobs", clip(100 * client + number, 0.5), params={"name": name})
                    assert answer.status_code == 202, answer.text
                    accepted[answer.json()["id"]] = name

        clients = [threading.Thread(target=hand_in, args=(client,)) for client in range(4)]
        for client in clients:
            client.start()
        until(lambda: len(accepted) >= 20, "some are handed in")
        first.kill()
        for client in clients:
            client.join()
    with serving(tmp_path) as second:
        for id, name in accepted.items():
            job = second.finished(id)
            assert job["state"] == "done"
            assert [file["name"] for file in job["inputs"]] == [name]
            (record,) = second.records(id)
            assert record["source"] == name
            assert record["error"] is None
        until(lambda: second.metrics()['overtone_jobs{state="queued"}'] == 0, "all are finished", 10)
    with contextlib.closing(sqlite3.connect(tmp_path / "jobs" / "jobs.sqlite")) as database:
        rows = database.execute("SELECT jobs.id, name, files.state FROM files JOIN jobs ON seq = job").fetchall()
    assert accepted.items() <= {(id, name) for id, name, _ in rows}
    assert len({name for _, name, _ in rows}) == len(rows) <= len(accepted) + len(clients)
    assert {state for _, _, state in rows} == {"done"}
    # What was on its way in when it was killed has left nothing.
    folders = {path.name for path in (tmp_path / "jobs").iterdir() if path.is_dir()}
    assert folders == {id for id, _, _ in rows}
    left = [path.name for path in (tmp_path / "jobs").rglob("*.upload")]
    assert left == []


@pytest.mark.slow
def test_when_told_to_end_it_finishes_what_was_admitted(tmp_path: Path) -> None:
    with ServiceProcess(tmp_path, "--grace-s", "20", failing=True) as service, ThreadPoolExecutor(20) as pool:
        with service.held():
            waiting = [pool.submit(service.post, "/v1/emotion", clip(i)) for i in range(8)]
            jobs = [service.post("/v1/jobs", clip(20 + i, 2.0)).json()["id"] for i in range(3)]
            until(lambda: service.queued_s() >= 8, "they are under way")
            until(lambda: service.job(jobs[0])["state"] == "running", "and a job")
            service.signal(signal.SIGTERM)
            began = time.monotonic()
            until(lambda: service.get("/readyz").status_code == 503, "it says that it is ending")
            assert service.get("/readyz").json()["state"] == "draining"
            for path in ("/v1/emotion", "/v1/jobs"):
                refused = service.post(path, clip(30))
                assert refused.status_code == 503
                assert refused.json()["code"] == "not_ready"
                assert int(refused.headers["retry-after"]) >= 1
            assert not any(answer.done() for answer in waiting)
        for answer in waiting:
            assert answer.result().status_code == 200
        assert service.wait() == 0
        assert time.monotonic() - began < 20
        assert "Traceback" not in service.log()
        assert service.left_behind() == []
    with serving(tmp_path) as later:
        for id in jobs:
            assert later.finished(id)["state"] == "done"


@pytest.mark.slow
def test_what_cannot_be_finished_in_time_is_given_up(tmp_path: Path) -> None:
    """The model hangs, a client sends a byte a second, another reads nothing: it ends all the same."""
    with ServiceProcess(tmp_path, "--grace-s", "1", failing=True) as service, ThreadPoolExecutor(2) as pool:
        switch = tmp_path / "hold"
        switch.touch()
        waiting = pool.submit(service.post, "/v1/emotion", clip(1))
        until(lambda: service.queued_s() >= 1, "it is under way")
        with socket.create_connection(service.address) as slow:
            slow.sendall(head() + b"x")
            service.signal(signal.SIGTERM)
            until(waiting.done, "who waits is given up")
            switch.unlink()  # a batch that runs cannot be stopped
            assert service.wait(20) == 0
        with contextlib.suppress(httpx.HTTPError):
            assert waiting.result().status_code >= 500
        assert "Traceback" not in service.log()


def test_it_can_be_told_to_end_while_it_starts(tmp_path: Path) -> None:
    (tmp_path / "hold-start").touch()
    with ServiceProcess(tmp_path, failing=True) as service:
        # The second start is the one that can be held: let the first model die.
        service.post("/v1/emotion", clip(1, peak=0.95))
        until(lambda: service.get("/readyz").json()["state"] == "restarting", "it starts anew")
        service.signal(signal.SIGTERM)
        until(service.is_ending, "it has heard")
        (tmp_path / "hold-start").unlink()
        assert service.wait(20) == 0
        assert "Traceback" not in service.log()


def test_jobs_that_go_on_after_a_kill_are_running(tmp_path: Path) -> None:
    hold = tmp_path / "hold"
    hold.touch()
    with ServiceProcess(tmp_path, failing=True) as first:
        id = first.post("/v1/jobs", clip(1)).json()["id"]
        until(partial(runs, first, id), "it runs")
        first.kill()
    with serving(tmp_path, failing=True) as second:
        until(lambda: second.metrics()['overtone_jobs{state="running"}'] == 1, "it goes on, and that is counted", 10)
        assert runs(second, id)
        hold.unlink()
        assert second.finished(id)["state"] == "done"
        until(lambda: second.metrics()['overtone_jobs{state="running"}'] == 0, "it is done", 10)


@pytest.mark.slow
def test_stopping_again_and_again_does_not_use_up_the_attempts_of_a_job(tmp_path: Path) -> None:
    hold, id = tmp_path / "hold", ""
    for _ in range(2):  # the second begins with a job that was stopped
        hold.touch()
        with ServiceProcess(tmp_path, failing=True) as service:
            # More than one batch of it, and shorter than what is worth keeping.
            id = id or service.post("/v1/jobs", speech(55.0)).json()["id"]
            until(partial(runs, service, id), "it runs")
            service.signal(signal.SIGTERM)
            until(service.is_ending, "it has heard")
            hold.unlink()
            assert service.wait() == 0
        with contextlib.closing(sqlite3.connect(tmp_path / "jobs" / "jobs.sqlite")) as database:
            assert database.execute("SELECT state, attempts FROM files").fetchall() == [("queued", 0)]
    with serving(tmp_path) as service:
        assert service.finished(id)["state"] == "done"


def test_cancelled_jobs_leave_room_for_others(tmp_path: Path) -> None:
    """However often what runs is cancelled, whatever it was just doing."""
    with serving(tmp_path) as service, service.client() as client:
        file = speech(150.0)
        for number in range(8):
            id = service.post("/v1/jobs", file).json()["id"]
            until(partial(runs, service, id), "it runs")
            time.sleep(0.03 * number)  # at another moment each time
            assert client.delete(f"/v1/jobs/{id}").status_code == 204
        after = service.post("/v1/jobs", clip(1)).json()["id"]
        assert service.finished(after)["state"] == "done"
        until(lambda: service.metrics()['overtone_jobs{state="cancelled"}'] >= 7, "they are counted", 10)
        left = list(service.jobs.rglob("*.upload"))
        assert left == []


class Redis:
    """A real one, on a free port of loopback, that keeps nothing on disk."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.start()

    def start(self) -> None:
        command = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        self._process = subprocess.Popen(
            [*command, "--dir", str(self._folder)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

        def listens() -> bool:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
                return True
            return False

        until(listens, "redis-server listens", 10)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[Redis]:
    if shutil.which("redis-server") is None:
        pytest.skip("redis-server is not installed here")
    running = Redis(tmp_path)
    yield running
    running.kill()


@pytest.mark.slow
def test_a_redis_that_dies_under_load_fails_nobody(tmp_path: Path, redis: Redis) -> None:
    files = [clip(i, 0.5) for i in range(4)]
    answers: list[tuple[int, str]] = []
    ending = threading.Event()
    with serving(tmp_path, "--cache", f"redis://127.0.0.1:{redis.port}/0", sooner={"redis": 1.0}) as service:

        def ask(client: int) -> None:
            with service.client() as http:
                while not ending.wait(0.03):
                    answer = http.post("/v1/emotion", files={"file": ("a.wav", files[(client + len(answers)) % 4])})
                    answers.append((answer.status_code, answer.headers["x-overtone-cache"]))

        def seen(what: str) -> None:
            """It comes, from now on."""
            since = len(answers)
            until(lambda: what in [how for _, how in answers[since:]], f"a {what}", 30)

        def cache() -> str:
            answer = service.get("/readyz")
            assert answer.status_code == 200  # answers come either way
            return str(answer.json()["cache"])

        clients = [threading.Thread(target=ask, args=(client,)) for client in range(4)]
        for client in clients:
            client.start()
        try:
            seen("hit")
            assert cache() == "healthy"
            redis.kill()
            seen("miss")
            until(lambda: cache() != "healthy", "it says that Redis is gone", 10)
            assert str(redis.port) not in cache()  # who asks that need not have a key
            assert service.metrics()["overtone_cache_healthy"] == 0
            redis.start()
            until(lambda: cache() == "healthy", "it says that Redis is there again", 30)
            seen("hit")
        finally:
            ending.set()
            for client in clients:
                client.join()
    assert {status for status, _ in answers} == {200}
    assert len(answers) > 20


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 8 MiB."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(place)]
    if os.getuid() or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a small disk can only be mounted by root, where it is allowed to")
    yield place
    subprocess.run(["umount", place], check=True)


def fill(disk: Path) -> None:
    """Leave no room on it."""
    file = os.open(disk / "fill", os.O_WRONLY | os.O_CREAT)
    with contextlib.suppress(OSError):
        while True:
            os.write(file, bytes(4096))
    os.close(file)


def no_space(answer: httpx.Response, service: ServiceProcess) -> None:
    assert answer.status_code == 503, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert str(service.folder) not in answer.text


def test_a_full_disk_of_uploads(tmp_path: Path, small_disk: Path) -> None:
    with serving(tmp_path, "--uploads", small_disk) as service:
        small, big = clip(1), speech(100.0)
        assert service.post("/v1/emotion", small).status_code == 200
        fill(small_disk)
        answer = service.post("/v1/emotion", big)
        no_space(answer, service)
        assert answer.json()["code"] == "no_space"
        assert int(answer.headers["retry-after"]) >= 1
        assert service.metrics()["overtone_uploads_bytes"] == 0
        ready = service.get("/readyz")
        assert (ready.status_code, ready.json()["reason"]) == (503, "the uploads folder has no space")
        assert f"the uploads folder {small_disk}" in service.log()
        (small_disk / "fill").unlink()
        assert service.get("/readyz").status_code == 200
        assert service.post("/v1/emotion", big).status_code == 200
        # What is made of an upload takes room too.
        with (small_disk / "fill").open("wb") as file:
            file.truncate(0)
            file.write(bytes((8 << 20) - len(big) - (300 << 10)))
        no_space(service.post("/v1/embeddings", big, params={"format": "npz", "granularity": "frame"}), service)
        (small_disk / "fill").unlink()
        frames = service.post("/v1/embeddings", big, params={"format": "npz", "granularity": "frame"})
        assert frames.status_code == 200
        kept = [path for path in small_disk.rglob("*") if path.is_file() and "lock" not in path.name]
        assert kept == []


@pytest.mark.slow
def test_a_full_disk_of_jobs(tmp_path: Path, small_disk: Path) -> None:
    small_disk.chmod(0o700)
    (tmp_path / "jobs").symlink_to(small_disk)
    with serving(tmp_path, failing=True) as service, service.client() as client:
        file = speech(40.0)
        assert service.finished(service.post("/v1/jobs", clip(1)).json()["id"])["state"] == "done"
        fill(small_disk)
        for _ in range(3):
            answer = service.post("/v1/jobs", file)
            no_space(answer, service)
            assert answer.json()["code"] == "no_space"
        (small_disk / "fill").unlink()
        with service.held():
            first, second, third = (service.post("/v1/jobs", file).json()["id"] for _ in range(3))
            until(lambda: service.job(second)["state"] == "running", "two of them run")
            fill(small_disk)
        until(lambda: service.log().count("could not be finished") == 2, "their records find no room")
        for id in (first, second, third):
            assert service.job(id)["state"] in ("queued", "running")
        # Cancelling is what makes room.
        assert client.delete(f"/v1/jobs/{first}").status_code == 204
        (small_disk / "fill").unlink()
        for id in (second, third):
            assert service.finished(id)["state"] == "done"
        assert service.job(first)["state"] == "cancelled"


def test_on_a_full_disk_jobs_are_deleted_and_results_fetched(tmp_path: Path, small_disk: Path) -> None:
    """Uploads and jobs on one disk, as they are by default, and something else that takes all that is freed on it."""
    small_disk.chmod(0o700)
    flags = ("--uploads", small_disk)
    (tmp_path / "jobs").symlink_to(small_disk)
    with ServiceProcess(tmp_path, *flags) as service, service.client() as client:
        kept, unwanted = (service.post("/v1/jobs", clip(number, 2.0)).json()["id"] for number in range(2))
        for id in (kept, unwanted):
            assert service.finished(id)["state"] == "done"
        fill(small_disk)
        for form in ("jsonl", "csv", "parquet", "srt", "vtt", "txt"):
            answer = client.get(f"/v1/jobs/{kept}/result", params={"format": form, "file": 0})
            assert answer.status_code == 200, (form, answer.text)
            assert answer.content, form
        ready = service.get("/readyz").json()
        assert (ready["ready"], "the jobs folder has no space" in ready["reason"]) == (False, True)
        assert client.delete(f"/v1/jobs/{unwanted}").status_code == 204
        assert not (small_disk / unwanted).exists()
        assert service.job(unwanted)["state"] == "cancelled"
        service.kill()
    (small_disk / "fill").unlink()
    with serving(tmp_path, *flags) as later:
        assert later.job(unwanted)["state"] == "cancelled"
        assert later.job(kept)["state"] == "done"


def test_folders_that_are_removed_under_a_service(tmp_path: Path) -> None:
    uploads = tmp_path / "uploads"
    with ServiceProcess(tmp_path, "--uploads", uploads) as service:
        shutil.rmtree(uploads)
        assert service.post("/v1/emotion", clip(1)).status_code == 200
        (own,) = uploads.glob("overtone-uploads-*")
        assert {path.stat().st_mode & 0o777 for path in (uploads, own)} == {0o700}
        assert service.get("/readyz").status_code == 200
        assert service.metrics()["overtone_ready"] == 1
        shutil.rmtree(tmp_path / "jobs")
        assert service.metrics()["overtone_ready"] == 0
        ready = service.get("/readyz")
        assert (ready.status_code, ready.json()["reason"]) == (503, "the jobs folder is gone")
        assert f"the jobs folder {tmp_path / 'jobs'} is gone" in service.log()
        answer = service.post("/v1/jobs", clip(2))
        assert answer.status_code == 503
        assert str(tmp_path) not in answer.text


def test_room_for_uploads_is_shared_and_given_back(tmp_path: Path) -> None:
    with serving(tmp_path, "--max-upload", "4MiB", "--uploads-size", "4MiB") as service:
        part = bytes(3 << 20)
        with socket.create_connection(service.address) as slow:
            slow.sendall(head(length=len(part) + 4) + part)
            until(lambda: service.metrics()["overtone_uploads_bytes"] >= 2 << 20, "most of it is on disk")
            answer = service.post("/v1/emotion", speech(80.0))
            assert answer.status_code == 503
            assert answer.json()["code"] == "no_space"
            assert int(answer.headers["retry-after"]) >= 1
            slow.sendall(b"last")
            assert slow.recv(100).startswith(b"HTTP/1.1 4")  # zeros are no audio
        until(lambda: service.metrics()["overtone_uploads_bytes"] == 0, "its room is given back")
        assert service.post("/v1/emotion", speech(80.0)).status_code == 200
