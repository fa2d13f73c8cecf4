"""Kills: is anything lost of jobs whose service is ended with SIGKILL again and again?

    python bench/kills.py [--kills 60] [--files 100] [--seed 0]

A service with `tiny`, on loopback. Clients hand in jobs of one to three files, each with an `Idempotency-Key`, and send
each again until it is acknowledged; another hands in jobs and deletes them. Meanwhile the service is killed, at random,
while a request is on its way or while a file runs, and started again on the same folder. In the end each file that was
handed in has exactly one record, none is given up, none differs from that of a service that nothing happened to, and
what was deleted is gone. Exits with 1 where that is not so.
"""

from __future__ import annotations

import argparse
import io
import json
import queue
import random
import signal
import sqlite3
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
import wave
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from typing import Any

import numpy as np

from common import speech
from serve_http import HOST
from serve_process import Served

MOMENTS = ("upload", "running", "delete", "running", "random", "running")
"""Kinds of kills, one after the other: while a request of a kind is on its way or a file runs, or at any time."""

SOON_S = 1.2
"""Most seconds from the start to a kill at random."""

THEN_S = {"upload": 0.03, "delete": 0.03, "running": 0.4}
"""Most seconds from the begin of such a moment to the kill."""

SCRATCH = "scratch.wav"
"""Name of the file of jobs that are deleted."""

WAIT_S = 300.0
"""Seconds for anything to be finished, on a busy machine."""

TOLERANCE = 1e-5
"""Most that a number of a record may differ: batches add in another order."""

_BROKEN = (OSError, HTTPException)
"""Errors of a client whose service was killed; urllib's own are among them."""


@dataclass
class Work:
    """A job to hand in: its files by name. `id`: once it is acknowledged."""

    key: str
    files: Mapping[str, bytes]
    id: str | None = None


@dataclass
class Clients:
    """Clients that hand in and delete while a service lives, and know what they have on its way."""

    waiting: queue.SimpleQueue[Work] = field(default_factory=queue.SimpleQueue)
    uploading: threading.Event = field(default_factory=threading.Event)
    deleting: threading.Event = field(default_factory=threading.Event)
    deleted: list[str] = field(default_factory=list)

    @contextmanager
    def at(self, served: Served, scratch: Work) -> Iterator[None]:
        """Have two clients hand in the jobs that wait, and a third delete `scratch`, until the service is gone."""
        threads = [threading.Thread(target=self._hand_in, args=(served,)) for _ in range(2)]
        threads.append(threading.Thread(target=self._delete, args=(served, scratch)))
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            for thread in threads:
                thread.join()

    def _hand_in(self, served: Served) -> None:
        while True:
            try:
                work = self.waiting.get_nowait()
            except queue.Empty:
                return
            self.uploading.set()
            try:
                work.id = hand_in(served, work)
            except _BROKEN as error:
                self.waiting.put(work)
                if isinstance(error, urllib.error.HTTPError) and error.code in (409, 429, 503):
                    continue
                return
            finally:
                self.uploading.clear()

    def _delete(self, served: Served, scratch: Work) -> None:
        try:
            id = hand_in(served, scratch)
            self.deleting.set()
            ask(served, f"/v1/jobs/{id}", method="DELETE")
            self.deleted.append(id)
        except _BROKEN:
            pass
        finally:
            self.deleting.clear()


def ask(served: Served, path: str, data: bytes | None = None, method: str = "GET", **headers: str) -> bytes:
    """The answer of a service. urllib's HTTPError for a refusal."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(f"http://{HOST}:{served.port}{path}", data, named, method=method)
    with urllib.request.urlopen(request, timeout=WAIT_S) as reply:
        found: bytes = reply.read()
    return found


def hand_in(served: Served, work: Work) -> str:
    """Send a job; its id."""
    mark = "kills-of-a-service"
    parts = [
        f'--{mark}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'.encode() + data + b"\r\n"
        for name, data in work.files.items()
    ]
    body = b"".join(parts) + f"--{mark}--\r\n".encode()
    kind = f"multipart/form-data; boundary={mark}"
    answer = ask(served, "/v1/jobs", body, "POST", Content_Type=kind, Idempotency_Key=f'"{work.key}"')
    return str(json.loads(answer)["id"])


def made(count: int, rng: random.Random) -> dict[str, bytes]:
    """Clips of real speech by name: most of a few seconds, some that are cut into many segments."""
    call = speech()
    files = {}
    for number in range(count):
        seconds = rng.uniform(20, 45) if number % 5 == 0 else rng.uniform(1, 4)
        start = rng.randrange(len(call) - round(16_000 * seconds))
        samples = call[start : start + round(16_000 * seconds)] * rng.uniform(0.4, 0.9)
        file = io.BytesIO()
        with wave.open(file, "wb") as out:
            out.setnchannels(1)
            out.setsampwidth(2)
            out.setframerate(16_000)
            out.writeframes(np.round(samples * 32_767).astype("<i2").tobytes())
        files[f"{number:03d}.wav"] = file.getvalue()
    return files


def jobs_of(files: Mapping[str, bytes], rng: random.Random) -> list[Work]:
    """All files as jobs of one to three."""
    left, jobs = list(files), list[Work]()
    while left:
        names = [left.pop(0) for _ in range(min(len(left), rng.randint(1, 3)))]
        jobs.append(Work(f"job {len(jobs)}", {name: files[name] for name in names}))
    return jobs


@contextmanager
def service(folder: Path, name: str) -> Iterator[Served]:
    """A service on the jobs of a folder."""
    flags = ["--port", "0", "--memory", "2GiB", "--cache", "off", "--jobs", str(folder / "jobs")]
    command = [sys.executable, "-W", "ignore", "-m", "overtone", "serve", "--no-page", *flags]
    with Served(command, folder / name) as served:
        yield served


def until(true: Callable[[], Any], within_s: float) -> bool:
    """True as soon as something is, False if it is not in time."""
    end = time.monotonic() + within_s
    while not true():
        if time.monotonic() > end:
            return False
        time.sleep(0.002)
    return True


def killed(served: Served, clients: Clients, database: Path, moment: str, rng: random.Random) -> str:
    """Kill a service at a moment; what was on its way."""
    flags = {"upload": clients.uploading, "delete": clients.deleting}
    begun: dict[str, Callable[[], bool]] = {name: flag.is_set for name, flag in flags.items()}
    begun["running"] = lambda: bool(running(database))
    waited = moment in begun and until(begun[moment], 2.0)
    time.sleep(rng.uniform(0, THEN_S[moment] if waited else SOON_S))
    under_way = [name for name, flag in flags.items() if flag.is_set()]
    served.kill()
    return " and ".join(under_way)


def running(database: Path) -> list[tuple[str, int, int]]:
    """The files that run, by the database: the job's id, the number, which start it is."""
    question = "SELECT id, number, starts FROM files JOIN jobs ON seq = job WHERE files.state = 'running'"
    with closing(sqlite3.connect(database)) as connection:
        return connection.execute(question).fetchall()


def left_running(database: Path) -> Counter[str]:
    """Stages of the files that ran when the service was killed."""
    from overtone.server.jobs.segment_cache import evidence

    found: Counter[str] = Counter()
    for id, number, start in running(database):
        left = evidence(database.parent / id / f"{number:04d}.answers", start)
        found["running" if left.in_batch else "decoding" if left.begun else "writing"] += 1
    return found


def finished(served: Served, id: str) -> list[dict[str, Any]]:
    """The records of a job once it is finished."""

    def ended() -> bool:
        return json.loads(ask(served, f"/v1/jobs/{id}"))["state"] not in ("queued", "running")

    if not until(ended, WAIT_S):
        raise RuntimeError(f"job {id} is not finished after {WAIT_S:g} s")
    return [json.loads(line) for line in ask(served, f"/v1/jobs/{id}/result").splitlines()]


def differs(one: Any, other: Any) -> bool:
    """True if two records say different things, but for their timings."""
    if isinstance(one, dict) and isinstance(other, dict):
        names = (one.keys() | other.keys()) - {"timings"}
        return one.keys() != other.keys() or any(differs(one[name], other[name]) for name in names)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) != len(other) or any(map(differs, one, other))
    if isinstance(one, float) and isinstance(other, float):
        return abs(one - other) > TOLERANCE
    return bool(one != other)


def all_jobs(served: Served) -> list[dict[str, Any]]:
    """All jobs that a service lists, page after page."""
    found: list[dict[str, Any]] = []
    cursor = ""
    while True:
        page = json.loads(ask(served, f"/v1/jobs?limit=100{cursor}"))
        found += page["jobs"]
        if page["next"] is None:
            return found
        cursor = f"&cursor={page['next']}"


def faults(
    served: Served, jobs: Sequence[Work], clients: Clients, undisturbed: Mapping[str, Any]
) -> dict[str, list[str]]:
    """Names of files and ids of jobs that went wrong, by kind."""
    wrong: dict[str, list[str]] = {kind: [] for kind in ("lost", "doubled", "given up", "differs", "not deleted")}
    seen: Counter[str] = Counter()
    for work in jobs:
        assert work.id is not None
        for record in finished(served, work.id):
            name = record["source"]
            seen[name] += 1
            if record["error"] is not None:
                wrong["given up"].append(f"{name}: {record['error']['code']}")
            elif differs(record, undisturbed[name]):
                wrong["differs"].append(name)
    names = [name for work in jobs for name in work.files]
    wrong["lost"] += [name for name in names if not seen[name]]
    wrong["doubled"] += [name for name, count in seen.items() if count > 1]
    known = {work.id for work in jobs}
    ended = {job["id"]: job["state"] for job in all_jobs(served)}
    wrong["lost"] += [str(id) for id in known if id not in ended]
    for id in ended.keys() - known:
        # A job to be deleted may have been handed in and not deleted, as its client saw no answer; no other is unknown.
        inputs = json.loads(ask(served, f"/v1/jobs/{id}"))["inputs"]
        wrong["doubled"] += [file["name"] for file in inputs if file["name"] != SCRATCH]
    wrong["not deleted"] += [id for id in clients.deleted if ended.get(id) != "cancelled"]
    return wrong


def run(folder: Path, kills: int, files: int, seed: int) -> list[str]:
    """Do it, and print what came of it. Returns what went wrong."""
    (folder / "alone").mkdir()
    rng = random.Random(seed)
    material = made(files, rng)
    jobs = jobs_of(material, rng)
    clients, hit = Clients(), Counter[str]()
    began = time.monotonic()
    for number in range(kills):
        for work in jobs[number * len(jobs) // kills : (number + 1) * len(jobs) // kills]:
            clients.waiting.put(work)
        scratch = Work(f"scratch {number}", {SCRATCH: material["000.wav"]})
        with service(folder, f"life-{number}") as served, clients.at(served, scratch):
            under_way = killed(served, clients, folder / "jobs" / "jobs.sqlite", MOMENTS[number % len(MOMENTS)], rng)
        hit.update(under_way.split(" and ") if under_way else ())
        hit.update(left_running(folder / "jobs" / "jobs.sqlite"))
        print(f"\rkill {number + 1} of {kills}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    killed_s = time.monotonic() - began
    with service(folder / "alone", "life") as alone:
        ids = [hand_in(alone, work) for work in jobs]
        undisturbed = {record["source"]: record for id in ids for record in finished(alone, id)}
    with service(folder, "last") as served:
        with clients.at(served, Work("scratch last", {SCRATCH: material["000.wav"]})):
            pass
        wrong = faults(served, jobs, clients, undisturbed)
        for job in all_jobs(served):  # those too whose client saw no answer, and so did not delete them
            if job["state"] != "cancelled":
                finished(served, job["id"])
        left = [path.name for path in (folder / "jobs").rglob("*") if path.suffix in (".upload", ".answers")]
    print(f"{kills} kills in {killed_s:.0f} s; {files} files in {len(jobs)} jobs; {len(clients.deleted)} deleted\n")
    print("| what a kill met | times |\n|---|---|")
    for what in ("upload", "delete", "decoding", "running", "writing"):
        print(f"| {what} | {hit[what]} |")
    print("\n| what went wrong | times |\n|---|---|")
    for what, names in {**wrong, "left on disk": left}.items():
        print(f"| {what} | {len(names)}{': ' if names else ''}{', '.join(names[:5])} |")
    return [f"{what}: {name}" for what, names in {**wrong, "left on disk": left}.items() for name in names]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 1 if anything was lost."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=60)
    parser.add_argument("--files", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        return int(bool(run(Path(folder), given.kills, given.files, given.seed)))


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    sys.exit(main())
