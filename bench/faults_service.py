"""A service under floods: connections that say nothing, slow ones, and hostile files between a stranger's good ones."""

from __future__ import annotations

import contextlib
import json
import socket
import sys
import time
import urllib.error
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from common import ROOT, write_clips
from faults_trial import Trial
from overtone.system.memory import parse_size
from process_tree import PeakWatch
from serve_http import HOST, multipart
from serve_process import Served

BUDGET = "1GiB"
IDLE = 400
"""Connections that are held open and say nothing, or too little, while others ask."""

HOSTILE = ROOT / "tests" / "data" / "hostile"
REPEATS = 5
"""Times that each hostile file is sent."""

ANSWERED_WITHIN_S = 20.0
"""Seconds that a good clip may take beside them; alone it takes some hundredths."""


def floods(folder: Path) -> Iterator[Trial]:
    """A trial for each flood; `folder` is for its files."""
    clips = write_clips(folder / "clips", 20)
    command = [sys.executable, "-m", "overtone", "serve", "--port", "0", "--memory", BUDGET]
    with Served([*command, "--jobs", str(folder / "jobs")], folder / "served") as served:
        watch = PeakWatch(served.pid)
        try:
            yield _idle(served, clips, watch)
            yield _hostile(served, clips, watch)
        finally:
            watch.close()


def _idle(served: Served, clips: list[Path], watch: PeakWatch) -> Trial:
    """Connections that never finish a request; the probes and a clip are answered all the same."""
    begun = (b"", b"GET /v1/models HTTP/1.1\r\nHost: a\r\nX-Slow: ", b"POST /v1/emotion HTTP/1.1\r\nHost: a\r\n")
    lost = []
    with contextlib.ExitStack() as stack:
        for number in range(IDLE):
            connection = stack.enter_context(socket.create_connection((HOST, served.port), timeout=10))
            connection.sendall(begun[number % len(begun)])
        for path in ("/healthz", "/readyz", "/metrics"):
            try:
                served.fetch(path)
            except OSError as error:
                lost.append(f"{path}: {error}")
        lost += _good(served, clips[:5])
    return _trial("idle and half-sent connections", f"{IDLE}, and 5 clips beside them", lost, served, watch)


def _hostile(served: Served, clips: list[Path], watch: PeakWatch) -> Trial:
    """Hostile files from eight clients at once, good clips between them: each gets its right answer."""
    hostile = sorted(HOSTILE.iterdir()) * REPEATS
    with ThreadPoolExecutor(8) as clients, ThreadPoolExecutor(2) as strangers:
        bad = [clients.submit(_send, served, path) for path in hostile]
        good = strangers.submit(_good, served, clips)
        lost = good.result()
        for path, answer in zip(hostile, bad, strict=True):
            status, code = answer.result()
            # A file of monstrous tags may have audio; any other answer is an error with a code.
            if status != 200 and code is None:
                lost.append(f"{path.name}: {status} without a code")
    return _trial("hostile uploads", f"{len(hostile)} from 8 clients, {len(clips)} clips beside", lost, served, watch)


def _good(served: Served, clips: list[Path]) -> list[str]:
    lost = []
    for path in clips:
        began = time.monotonic()
        status, code = _send(served, path)
        waited_s = time.monotonic() - began
        if status != 200:
            lost.append(f"{path.name}: {status} {code}")
        elif waited_s > ANSWERED_WITHIN_S:
            lost.append(f"{path.name}: after {waited_s:.0f} s")
    return lost


def _send(served: Served, path: Path) -> tuple[int, str | None]:
    """Status of the answer to a file, and the code of its error."""
    kind, body = multipart([(path.name, path.read_bytes())])
    try:
        served.fetch("/v1/emotion", body, kind)
    except urllib.error.HTTPError as refused:
        with refused:
            content = refused.read()
        with contextlib.suppress(ValueError, KeyError, TypeError):
            return refused.code, str(json.loads(content)["code"])
        return refused.code, None
    except OSError as error:
        return 0, str(error)
    return 200, None


def _trial(name: str, tried: str, lost: list[str], served: Served, watch: PeakWatch) -> Trial:
    gone = [] if served.alive else [f"the service: {served.last_words()}"]
    return Trial(name, tried, (*gone, *lost), watch.peak_bytes, parse_size(BUDGET))
