"""The command line as a test uses it: in this process, or in one of its own."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import overtone
from helpers.oracles.verdict import holds_verdict

SRC = Path(overtone.__file__).parents[1]
"""Where the package is that the tests themselves import, be it installed or not."""
COMMAND = [sys.executable, "-m", "overtone"]
CLASSES = ["angry", "disgusted", "fearful", "happy", "neutral", "other", "sad", "surprised", "unknown"]


def environment(**changes: str) -> dict[str, str]:
    """The environment of a child: this one's, with the package on the path."""
    path = os.pathsep.join(filter(None, [str(SRC), os.environ.get("PYTHONPATH")]))
    # One thread: on a machine with other work to do, two that wait for each other take many times as long.
    return {**os.environ, "PYTHONPATH": path, "OVERTONE_THREADS": "1", **changes}


def start(*arguments: str | Path, cwd: Path | None = None, env: dict[str, str] | None = None, **more: Any) -> Any:
    """A child process running the command; its streams are pipes of bytes unless `more` says otherwise."""
    streams: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL}
    # A shell that runs the tests in the background has them ignore Ctrl-C, and a child would inherit that.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return subprocess.Popen([*COMMAND, *map(str, arguments)], cwd=cwd, env=env or environment(), **streams | more)
    finally:
        signal.signal(signal.SIGINT, before)


def finish(child: Any, *, data: bytes | None = None, timeout_s: float = 60) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of a child, which is killed if it hangs."""
    try:
        out, err = child.communicate(data, timeout=timeout_s)
    except subprocess.TimeoutExpired:
        child.kill()
        child.communicate()
        raise
    return child.returncode, (out or b"").decode(), (err or b"").decode()


def lines(text: str) -> list[dict[str, Any]]:
    """The records of JSON lines; each has to be whole."""
    assert not text or text.endswith("\n")
    return [json.loads(line) for line in text.split("\n")[:-1]]


def answers(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Records without what differs from run to run."""
    return [{key: value for key, value in record.items() if key != "timings"} for record in records]


def well_formed(record: dict) -> None:
    assert next(iter(record)) == "source"
    assert list(record)[-1] == "error"
    if record["error"] is not None:
        assert set(record["error"]) == {"code", "message"}
        assert not {"label", "score", "scores", "shares", "speech_s", "pooled", "segments"} & set(record)
        return
    for scores in (record["scores"], record["shares"], record["pooled"]["scores"]):
        assert list(scores) == CLASSES
        assert sum(scores.values()) == pytest.approx(1, abs=1e-5)  # nine roundings to six decimals
    for told in (record, record["pooled"]):
        assert told["score"] == max(told["scores"].values()) == told["scores"][told["label"]]
    assert 0 < record["speech_s"] <= record["duration"] + 0.001
    if "segments" in record:
        holds_verdict(record)


def csv_rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
