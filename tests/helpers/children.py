"""What child processes are asked to do; they import it by its name."""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from overtone.errors import CheckpointError

FORBIDDEN = ("os.fork", "socket.connect")
"""Audit events of a process that tells others of its use."""


def write_pid(path: Path) -> None:
    print("what a library says is not an answer")
    path.write_text(str(os.getpid()), encoding="utf-8")


def refuse(message: str) -> None:
    raise CheckpointError(message, code="torn")


def die() -> None:
    os._exit(3)


def hold(size: int) -> None:
    """Hold so many bytes until the process is ended."""
    held = bytearray(b"\1") * size
    threading.Event().wait()
    del held


class UnportableError(Exception):
    def __init__(self, first: str, second: str) -> None:
        super().__init__(f"{first} and {second}")


def raise_what_cannot_travel() -> None:
    raise UnportableError("this", "that")


def watched(record: Path, function: Callable[..., None], *arguments: Any) -> None:
    """Call a function, in a process of its own, and append to `record` which of `FORBIDDEN` it did: a list, as JSON."""
    told: list[str] = []
    sys.addaudithook(lambda event, _: told.append(event) if event in FORBIDDEN else None)
    function(*arguments)
    with record.open("a", encoding="utf-8") as file:
        file.write(json.dumps(told) + "\n")
