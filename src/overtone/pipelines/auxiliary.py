"""Auxiliary models (FSMN-VAD, CT-Transformer): small, and run outside the engine, single-threaded behind a lock."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NoReturn

import numpy as np

from overtone.backends.graphs import Graphs
from overtone.batching.weights_budget import LoadingBudget
from overtone.engine.device_model import device_budget
from overtone.engine.loader import load_graphs
from overtone.errors import Code, UsageError
from overtone.merging.punctuation.restoration import Punctuator
from overtone.models import checkpoints
from overtone.models.checkpoints import Checkpoint
from overtone.models.family import Role
from overtone.models.fsmn_vad.scorer import BLOCK_FRAMES, FsmnStream, FsmnVad
from overtone.models.registry import check_role
from overtone.models.task import Array
from overtone.options.transcription import TranscribeOptions
from overtone.system.devices import resolve_device
from overtone.system.process_guard import ProcessGuard, refuse_copy

_THREADS = 1
"""They are small, and run beside the recognizer."""


class LockedGraphs:
    """A `RunGraph` for any number of threads, one at a time; its outputs stay valid. Close it to free the model."""

    def __init__(self, graphs: Graphs) -> None:
        self._graphs = graphs
        self._guard = ProcessGuard()
        self._lock = threading.Lock()
        self._closed = False

    def __reduce__(self) -> NoReturn:
        refuse_copy()

    def __call__(self, graph: str, inputs: Mapping[str, Array]) -> Mapping[str, Array]:
        """Outputs of a graph by name, copied.

        Raises OutOfMemory where the runtime is refused memory, UsageError once closed and in a fork.
        """
        self._guard.check()
        with self._lock:
            if self._closed:
                raise UsageError("the model was closed; load it again.", code=Code.CLOSED)
            return self._graphs.guard(lambda: _kept(self._graphs.run(graph, inputs)))

    def close(self) -> None:
        """Free the model. Does nothing in a fork."""
        if self._guard.forked:
            return
        with self._lock:
            self._closed = True
            self._graphs.close()


def _kept(outputs: Mapping[str, Array]) -> dict[str, Array]:
    return {name: np.array(value) for name, value in outputs.items()}


class SpeechDetector:
    """A loaded FSMN-VAD, which finds speech in any number of streams. Close it to free the model.

    Raises the errors of finding and loading a model.
    """

    def __init__(self, options: TranscribeOptions) -> None:
        checkpoint = _found(options.vad, "vad", options)
        silence = options.max_end_silence_ms
        overrides = {} if silence is None else {"max_end_silence_time": silence}
        self.name, self.folder = checkpoints.name_of(options.vad), checkpoint.folder
        self.vad = FsmnVad(checkpoint, max_single_segment_time=round(1000 * options.max_segment), **overrides)
        # One shape, for which its few layers are compiled best.
        shape = (1, BLOCK_FRAMES, self.vad.config.input_dim)
        self._run = _runner(checkpoint, options, options.vad_device, {"scores": shape})
        features, memory = np.zeros(shape, np.float32), np.zeros(self.vad.config.memory, np.float32)
        # Run once, so that what it holds is held when it is counted.
        self._run("scores", {"features": features, "memory": memory})

    def stream(self) -> FsmnStream:
        """Scores of a new stream."""
        return self.vad.stream(self._run)

    def close(self) -> None:
        """Free the model."""
        self._run.close()


class PunctuationModel:
    """A loaded punctuation model. Close it to free the model.

    Raises the errors of finding and loading a model.
    """

    def __init__(self, model: str, options: TranscribeOptions) -> None:
        checkpoint = _found(model, "punctuation", options)
        self.name, self.folder = checkpoints.name_of(model), checkpoint.folder
        self._run = _runner(checkpoint, options, options.punctuation_device)
        self.punctuator = Punctuator(checkpoint, self._run)
        self.punctuator.punctuate("a")  # as above

    def close(self) -> None:
        """Free the model."""
        self._run.close()


def _found(model: str, role: Role, options: TranscribeOptions) -> Checkpoint:
    checkpoint = checkpoints.find(model, hub=options.hub)
    check_role(checkpoint, role)
    return checkpoint


def _runner(
    checkpoint: Checkpoint,
    options: TranscribeOptions,
    device: str | None,
    shapes: Mapping[str, Sequence[int]] = MappingProxyType({}),
) -> LockedGraphs:
    # In float32 always: they cost little, and where a sentence ends is not to depend on how fast words are wanted.
    where = resolve_device(device or "cpu")
    plain = options.replace(precision=None, backend="auto")
    budget = LoadingBudget(device_budget(options, where))
    return LockedGraphs(load_graphs(checkpoint, plain, where, _THREADS, shapes=shapes, budget=budget))
