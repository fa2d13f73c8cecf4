"""Models loaded as the engine loads them, to be run batch by batch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from overtone.backends.task_backend import TaskBackend
from overtone.engine.loader import load
from overtone.models import checkpoints
from overtone.options.emotion import Options


def loaded(folder: Path, *, device: str = "cpu", threads: int = 1, **options: Any) -> TaskBackend:
    """A checkpoint in the runtime that its options name."""
    checkpoint = checkpoints.read(folder, name=folder.name)
    return load(checkpoint, Options(model=str(folder), device=device, **options), device, threads)
