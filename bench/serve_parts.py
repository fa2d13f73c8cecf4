"""Measurements of the service, part by part; see `serve.py`."""

from __future__ import annotations

import importlib.util
import json
import math
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common import child
from overtone.tools.benchmark import BenchmarkWorker
from serve_figures import Figures, added, joined, spread
from serve_http import multipart
from serve_load import CODE
from serve_material import Material
from serve_process import Served

WARM_UP_FILES = 20
WARM_S = 5.0
MOST_WARM_S = 120.0
"""Seconds in which each client should have had its first answer: where 128 wait, the last of them waits for 127."""

MIXED_CLIENTS = 32
LONG_IN = 50
LONG_DEADLINE_S = 1800.0
LONG_QUEUE_S = 36_000.0
"""Seconds for each request, and of audio let in, where files of ten minutes take turns with clips on two cores: the
service is to refuse none of those that are measured."""

TURN_S = 60.0
"""Seconds of the service between two runs of the folder, about half as long: the machine changes from minute to
minute, and both are to meet the same."""

BESIDE_CLIENTS = 32
BESIDE_LONG = 4

CAPACITY_CLIENTS = 64
"""Clients, enough that the model is never without work."""

CONNECTIONS = 256
DEADLINE_S = 10.0

QUEUE_S = 5.0
"""Seconds of work that the queue holds where the service is overloaded: half of the time there is for an answer."""

LEAST_QUEUE_AUDIO_S = 30.0

PAUSE_S = 0.5
ROUND = 10
"""Requests between two looks at the job; a job that ends meanwhile is followed by another."""
LATENCY_WARM_UP = 3


@dataclass(frozen=True)
class Bench:
    """Settings of the measurements: the material, the server, and the seconds."""

    folder: Path
    model: str
    shape: str
    precision: str
    memory: str
    material: Material
    clients: tuple[int, ...]
    seconds: float
    plain_seconds: float
    mixed_s: float
    times: float
    requests: int
    threads: int

    @property
    def options(self) -> dict[str, Any]:
        """Options of the engine, for every process that starts it."""
        return {"model": self.model, "precision": self.precision, "memory": self.memory, "threads": self.threads}

    @contextmanager
    def service(self, **settings: Any) -> Iterator[Served]:
        """Start the service with a folder of its working files; yields it ready. `settings`: of `overtone serve`."""
        with tempfile.TemporaryDirectory(dir=self.folder) as own:
            given = {**self.options, "port": 0, "cache": "off", "jobs": Path(own) / "jobs", **settings}
            flags = [text for name, value in given.items() for text in (f"--{name.replace('_', '-')}", str(value))]
            command = [sys.executable, "-W", "ignore", "-m", "overtone", "serve", "--no-page", *flags]
            with Served(command, Path(own) / "server") as served:
                served.fetch("/readyz")
                yield served

    @contextmanager
    def plain(self) -> Iterator[Served]:
        """Start FunASR behind FastAPI. Its end is not waited for: it would first answer clients that have gone."""
        script = str(Path(__file__).with_name("serve_plain.py"))
        with tempfile.TemporaryDirectory(dir=self.folder) as own:
            command = [sys.executable, "-W", "ignore", script, self.model, str(self.threads)]
            with Served(command, Path(own) / "server", end_s=1.0) as served:
                yield served


def load(kind: str, served: Served, bench: Bench, **given: Any) -> Figures:
    """Figures of a load by a child process, and of the server's memory. `kind`: `closed` or `open_loop`."""
    found = child(CODE.format(kind), **{"port": served.port, "clips": bench.material.clips, **given})
    found["load_peak_bytes"] = found.pop("peak_bytes")
    found["peak_bytes"] = served.peak_bytes
    if not served.alive:
        found["died"] = served.last_words()
    elif given.get("scrape", True):
        metrics = served.metrics()
        found["own_peak_bytes"] = metrics["overtone_memory_peak_bytes"]
        found["budget_bytes"] = metrics["overtone_memory_budget_bytes"]
    return found


def without_latencies(found: Figures) -> Figures:
    """Without each latency by itself: there are thousands."""
    return {name: value for name, value in found.items() if name != "latencies_s"}


def throughput(bench: Bench) -> Figures:
    """Clients in closed loops, a new service for each number of them, in turns with the clips as a folder."""
    folder: list[Figures] = []
    levels: Figures = {}
    turns = max(1, round(bench.seconds / TURN_S))
    with _folder(bench, bench.seconds / turns / 2) as offline:
        folder.append(offline())
        for clients in bench.clients:
            rounds, shares = [], []
            with bench.service() as served:
                for _ in range(turns):
                    rounds.append(_round(served, bench, clients, bench.seconds / turns))
                    folder.append(offline())
                    beside = statistics.mean(run["audio_per_s"] for run in folder[-2:])
                    shares.append(rounds[-1]["audio_per_s"] / beside)
            levels[str(clients)] = without_latencies({**joined(rounds), "of_folder": shares})
    return {"folder": folder, "levels": levels}


def plain(bench: Bench) -> Figures:
    """The same clients at FunASR."""
    if importlib.util.find_spec("funasr") is None:
        return {"left_out": "FunASR is not installed"}
    if bench.shape == "tiny":
        return {"left_out": "FunASR has no such model"}
    levels: Figures = {}
    for clients in bench.clients:
        with bench.plain() as served:
            levels[str(clients)] = _clients(served, bench, clients, bench.plain_seconds, scrape=False)
    return {"levels": levels}


def _clients(served: Served, bench: Bench, clients: int, seconds: float, **more: Any) -> Figures:
    return without_latencies(_round(served, bench, clients, seconds, **more))


def _round(served: Served, bench: Bench, clients: int, seconds: float, **more: Any) -> Figures:
    given = {"clients": clients, "seconds": seconds, "warm_s": WARM_S, "most_warm_s": MOST_WARM_S, **more}
    found = load("closed", served, bench, **given)
    print(f"{clients} clients: {found['audio_per_s']:.1f} s of audio a second, {found['statuses']}", flush=True)
    return found


@contextmanager
def _folder(bench: Bench, seconds: float) -> Iterator[Callable[[], Figures]]:
    """Measures the clips as a folder to JSON lines, in a warm process, as the command line does it.

    The folder is gone through as often as it takes `seconds`: a fast model's start and end would show.
    """
    paths, out = [path for path, _ in bench.material.clips], str(bench.folder / "out.jsonl")
    with BenchmarkWorker("overtone") as contender:
        contender.ask("load", device="cpu", **bench.options)
        warm = contender.ask("folder", inputs=paths[:WARM_UP_FILES], output=out)
        once_s = warm["seconds"] / warm["files"] * len(paths)
        inputs = paths * max(1, round(seconds / once_s))

        def measure() -> Figures:
            found: Figures = contender.ask("folder", inputs=inputs, output=out)
            found["audio_per_s"] = found["audio_s"] / found["seconds"]
            print(f"offline: {found['audio_per_s']:.1f} s of audio a second", flush=True)
            return found

        yield measure


def mixed(bench: Bench) -> Figures:
    """Short clips, and long files among them."""
    given: dict[str, Any] = {"clients": MIXED_CLIENTS, "seconds": bench.mixed_s, "warm_s": WARM_S}
    given |= {"most_warm_s": MOST_WARM_S, "long": bench.material.long, "long_in": LONG_IN}
    with bench.service(deadline_s=LONG_DEADLINE_S, queue_audio_s=LONG_QUEUE_S) as served:
        found = load("closed", served, bench, **given)
    return {**without_latencies(found), "long_in": LONG_IN, "deadline_s": LONG_DEADLINE_S}


def beside(bench: Bench) -> Figures:
    """Short clips alone, and while other clients send long files, in turns."""
    alone, together = [], []
    long: dict[str, Any] = {"long": bench.material.long, "long_clients": BESIDE_LONG}
    turns = max(1, round(bench.seconds / TURN_S))
    with bench.service(deadline_s=LONG_DEADLINE_S, queue_audio_s=LONG_QUEUE_S) as served:
        for _ in range(turns):
            alone.append(_round(served, bench, BESIDE_CLIENTS, bench.seconds / turns))
            together.append(_round(served, bench, BESIDE_CLIENTS, bench.seconds / turns, **long))
    both = {"alone": joined(alone), "beside": joined(together)}
    return {**{name: without_latencies(found) for name, found in both.items()}, "long_clients": BESIDE_LONG}


def overload(bench: Bench) -> Figures:
    """Measure the rate that can be answered, then send several times as much to a service with a short queue."""
    with bench.service() as served:
        able = _clients(served, bench, CAPACITY_CLIENTS, bench.seconds / 2)
    clip_s = sum(seconds for _, seconds in bench.material.clips) / len(bench.material.clips)
    # What waits in the queue holds a connection; half of them are left to be refused on.
    queue_s = min(QUEUE_S * able["audio_per_s"], CONNECTIONS / 2 * clip_s)
    queue_s = max(LEAST_QUEUE_AUDIO_S, queue_s)
    with bench.service(queue_audio_s=queue_s, deadline_s=DEADLINE_S) as served:
        found = load(
            "open_loop",
            served,
            bench,
            rate=bench.times * able["audio_per_s"] / clip_s,
            seconds=bench.seconds,
            connections=CONNECTIONS,
            deadline_s=DEADLINE_S,
            # Until the queue is full and what was let in first is answered.
            warm_s=2 * QUEUE_S,
        )
    return {"able": able, "times": bench.times, "queue_audio_s": queue_s, "deadline_s": DEADLINE_S, **found}


def latency(bench: Bench) -> Figures:
    """A clip, again and again with pauses: first alone, then beside an hour."""
    one: dict[str, Any] = {"clips": [bench.material.five], "clients": 1, "pause_s": PAUSE_S, "seconds": 600.0}
    with bench.service() as served:
        load("closed", served, bench, **one, requests=LATENCY_WARM_UP)
        idle = load("closed", served, bench, **one, requests=bench.requests)
        jobs, rounds, cut_short = [_submitted(served, bench)], [], 0
        for _ in range(math.ceil(bench.requests / ROUND)):
            rounds.append(load("closed", served, bench, **one, requests=min(ROUND, bench.requests)))
            if _state(served, jobs[-1]) == "done":
                cut_short += 1
                jobs.append(_submitted(served, bench))
    busy = {
        "latency": {"short": spread([seconds for found in rounds for seconds in found["latencies_s"]])},
        "statuses": added(found["statuses"] for found in rounds),
        "cpu_s": sum(found["cpu_s"] for found in rounds),
        "seconds": sum(found["seconds"] for found in rounds),
        "peak_bytes": rounds[-1]["peak_bytes"],
        "jobs": len(jobs),
        "rounds": len(rounds),
        "rounds_cut_short": cut_short,
    }
    return {"idle": without_latencies(idle), "busy": busy}


def _submitted(served: Served, bench: Bench) -> str:
    """The id of a job of an hour, once it runs."""
    kind, body = multipart([("hour.wav", bench.material.hour.read_bytes())])
    found: str = json.loads(served.fetch("/v1/jobs", body, kind))["id"]
    while _state(served, found) == "queued":
        time.sleep(0.1)
    return found


def _state(served: Served, job: str) -> str:
    state: str = json.loads(served.fetch(f"/v1/jobs/{job}"))["state"]
    if state in ("failed", "cancelled"):
        raise RuntimeError(f"the job of an hour is {state}: {served.last_words()}")
    return state


PARTS: dict[str, Callable[[Bench], Figures]] = {
    "throughput": throughput,
    "plain": plain,
    "mixed": mixed,
    "beside": beside,
    "overload": overload,
    "latency": latency,
}
