"""One model as it runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from overtone.engine.engine import Engine
from overtone.models.task import Task


@dataclass(frozen=True, slots=True, eq=False)
class ModelInstance:
    """A model with the engine that runs it on its devices. name: in results. folder: of its checkpoint."""

    name: str
    folder: Path
    task: Task
    engine: Engine
