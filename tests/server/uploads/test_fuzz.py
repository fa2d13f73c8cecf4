"""Thousands of damaged files through one service, over several connections at once: an answer for each, and no trace.

FUZZ_UPLOADS_S=600 in the environment goes on for so many seconds, FUZZ_FIRST=5000 begins at that case.
"""

from __future__ import annotations

import collections
import itertools
import json
import math
import os
import random
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from helpers import fuzzing
from helpers.clips import EXAMPLES
from helpers.server.serving_process import FEW, MEMORY, ServiceProcess, serving
from helpers.server.sounds import clip
from overtone.system.memory import MIB, parse_size

LASTS_S = float(os.environ.get("FUZZ_UPLOADS_S", "15"))
FIRST = int(os.environ.get("FUZZ_FIRST", "0"))

CONNECTIONS = 6

LEAST = 300
"""Cases that have to be had in a minute, on a busy machine; some thousands are usual."""

GROWTH_BYTES = 200 * MIB
"""Resident memory that thousands of files more may take: what allocators keep, and some hundred answers."""

_ANSWERS = (200, 400, 413, 415, 422, 429)


class Attack:
    """Cases by their numbers, sent by several clients until the time is over; what is wrong is kept by its name."""

    def __init__(self, service: ServiceProcess) -> None:
        self.outcomes: collections.Counter[str] = collections.Counter()
        self.wrong: dict[str, str] = {}
        self._service = service
        self._numbers = itertools.count(FIRST)
        self._lock = threading.Lock()

    def run(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        clients = [threading.Thread(target=self._client, args=(end,)) for _ in range(CONNECTIONS)]
        for client in clients:
            client.start()
        for client in clients:
            client.join()

    def _client(self, end: float) -> None:
        with self._service.client() as http:
            while time.monotonic() < end and self._service.alive:
                with self._lock:
                    number = next(self._numbers)
                name, data = damaged(number)
                try:
                    answer = ask(http, number, name, data)
                    outcome, complaint = judged(answer)
                except httpx.HTTPError as error:
                    outcome, complaint = "lost", repr(error)
                with self._lock:
                    self.outcomes[outcome] += 1
                    if complaint:
                        self.wrong[f"{number} {name}"] = complaint


def damaged(number: int) -> tuple[str, bytes]:
    """(name, bytes) of a case: small files of every container, and every eighth time one of the larger examples."""
    if number % 8:
        return fuzzing.damaged(number)
    dice = random.Random(number)
    path = dice.choice([*sorted(EXAMPLES.glob("*.wav")), EXAMPLES / "call.mp3"])
    data = bytearray(path.read_bytes()[: dice.choice((20_000, 60_000, 400_000))])
    for _ in range(dice.choice((1, 2, 4))):
        if data:
            dice.choice(fuzzing._DAMAGES)(data, dice)
    return f"{number}-{path.name}", bytes(data)


def ask(http: httpx.Client, number: int, name: str, data: bytes) -> httpx.Response:
    """Send a case, in one of the ways that there are."""
    dice = random.Random(number)
    options: dict[str, Any] = dice.choice(
        ({}, {}, {"channels": "split"}, {"granularity": "frame"}, {"segment": "window"}, {"embeddings": "true"})
    )
    path = dice.choice(("/v1/emotion",) * 4 + ("/v1/embeddings",))
    if path == "/v1/embeddings":
        options = dice.choice(({}, {"format": "npz"}, {"format": "npz", "granularity": "frame"}))
    if number % 3:
        return http.post(path, files={"file": (name, data)}, params=options)
    headers = {"Content-Type": dice.choice(("audio/wav", "application/octet-stream", "video/mp4"))}
    return http.post(path, content=data, params={**options, "name": name}, headers=headers)


def judged(answer: httpx.Response) -> tuple[str, str]:
    """What came of a case, and what is wrong with it."""
    if answer.status_code not in _ANSWERS:
        return str(answer.status_code), answer.text[:300]
    kind = answer.headers["content-type"]
    if answer.status_code != 200:
        problem = answer.json()
        wrong = kind != "application/problem+json" or problem["status"] != answer.status_code or not problem["detail"]
        return problem["code"], answer.text if wrong else ""
    if kind == "application/x-npz":
        return "npz", "" if answer.content.startswith(b"PK") else "no NumPy file"
    for line in answer.text.splitlines():
        record = json.loads(line)
        scores = [score for score in (record.get("scores") or {}).values() if score is not None]
        if scores and not math.isclose(sum(scores), 1, abs_tol=1e-4):
            return "ok", f"scores are {scores}"
        if not 0 < record["duration"] < fuzzing.LONGEST_S:
            return "ok", f"{record['duration']} s of audio"
    return "ok", ""


@pytest.mark.slow
def test_damaged_uploads(tmp_path: Path) -> None:
    with serving(tmp_path, "--cache-size", "16MiB") as service:
        attack = Attack(service)
        attack.run(LASTS_S / 3)  # whatever is loaded once, and whatever threads there can be, are there after this
        descriptors, threads, files = service.settled()
        assert files == []
        resident = service.rss_bytes()
        attack.run(LASTS_S)
        assert service.alive, service.log()[-4000:]
        assert attack.wrong == {}
        after = service.settled()
        assert after[0] <= descriptors + FEW
        assert after[1] <= threads + CONNECTIONS
        assert after[2] == []
        assert service.rss_bytes() - resident < GROWTH_BYTES
        assert service.peak_bytes() < parse_size(MEMORY)
        metrics = service.metrics()
        assert metrics["overtone_uploads_bytes"] == 0
        assert metrics["overtone_queue_bytes"] == 0
        assert service.post("/v1/emotion", clip(1)).status_code == 200
        assert "a fault of the service" not in service.log()
        assert "Traceback" not in service.log()
    # Damage that is never noticed, or always, tests nothing.
    cases = attack.outcomes.total()
    assert cases > LEAST * LASTS_S / 60
    assert attack.outcomes["ok"] > cases / 20
    assert attack.outcomes["not_audio"] > cases / 50
    assert len(attack.outcomes) >= 5
