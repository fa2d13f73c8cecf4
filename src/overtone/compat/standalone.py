"""A small model that runs alone, without a recognizer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from overtone.engine.loader import load_graphs
from overtone.engine.runtime import single_decoder
from overtone.models.checkpoints import Checkpoint
from overtone.options import loading
from overtone.options.emotion import Options
from overtone.pipelines.auxiliary import LockedGraphs
from overtone.system.devices import resolve_device

_Input = TypeVar("_Input")


class StandaloneModel:
    """A model's graphs, loaded. Any number of threads may call.

    options: `device`, `threads` and so on, as every pipeline has them.
    """

    def __init__(self, checkpoint: Checkpoint, options: Mapping[str, Any]) -> None:
        made = loading.load(Options, model=str(checkpoint.folder), **options)
        graphs = load_graphs(checkpoint, made, resolve_device(made.device), made.threads or 1)
        self._run = LockedGraphs(graphs)
        self._pool = single_decoder(made)
        self.folder: Path = checkpoint.folder

    def close(self) -> None:
        """Free the model."""
        self._run.close()
        if self._pool is not None:
            self._pool.close()


def answers(
    inputs: Iterable[tuple[str, _Input]],
    answer: Callable[[str, _Input], dict[str, Any]],
    progress: Callable[[int, int], None] | None,
) -> list[dict[str, Any]]:
    """The answer for each input, by key and input. progress: called after each with how many are done, and of how many.

    Every input is known before the first is answered.
    """
    known = list(inputs)
    results = []
    for key, source in known:
        results.append(answer(key, source))
        if progress is not None:
            progress(len(results), len(known))
    return results
