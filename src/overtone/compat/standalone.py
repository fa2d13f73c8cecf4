"""A small model that is run by itself, and not beside a recogniser."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from overtone.engine.loader import load_graphs
from overtone.models.checkpoints import Checkpoint
from overtone.options import sources
from overtone.options.emotion import Options
from overtone.pipelines.auxiliary import LockedGraphs
from overtone.system.devices import resolve_device


class StandaloneModel:
    """Its graphs, loaded. Any number of threads may call."""

    def __init__(self, checkpoint: Checkpoint, options: Mapping[str, Any]) -> None:
        """options: `device`, `threads` and so on, as every pipeline has them."""
        made = sources.load(Options, model=str(checkpoint.folder), **options)
        threads = made.threads or 1
        self._graphs = load_graphs(checkpoint, made, resolve_device(made.device), threads)
        self._run = LockedGraphs(self._graphs)
        self.folder: Path = checkpoint.folder

    def close(self) -> None:
        """Free the model."""
        self._run.close()
