"""What child processes are asked to do; they import it by its name."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

from overtone.conversion import converter
from overtone.errors import CheckpointError
from overtone.models import converted as on_disk
from overtone.models.checkpoints import Checkpoint

FORBIDDEN = ("os.fork", "socket.connect")
"""Audit events of a process that tells others of its use."""


def write_pid(path: Path) -> None:
    print("what a library says is not an answer")
    path.write_text(str(os.getpid()))


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


def convert_untold(checkpoint: Checkpoint, folder: Path) -> None:
    """In a process of its own. OpenVINO's converter and NNCF would fork processes that send what they do."""
    told = []
    sys.addaudithook(lambda event, _: told.append(event) if event in FORBIDDEN else None)
    converter.export(checkpoint, folder / "fp32", "0", strict=True)
    reference = on_disk.read(folder / "fp32", "c")
    assert reference is not None
    converter.to_precision(checkpoint, reference, folder / "int8", "int8")
    assert not told
