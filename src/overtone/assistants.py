"""What finds speech and what punctuates: small models that whoever cuts or finishes a source runs by itself."""

from __future__ import annotations

import threading
from collections.abc import Mapping

import numpy as np

from overtone import checkpoints
from overtone.checkpoints import Checkpoint
from overtone.devices import resolve_device
from overtone.fsmn.scorer import FsmnStream, FsmnVad
from overtone.loaded import load_graphs
from overtone.punctuation.punctuate import Punctuator
from overtone.tasks.base import Array, Run
from overtone.tasks.known import Role, check_role
from overtone.transcribe_options import TranscribeOptions

_THREADS = 1
"""They are small, and run beside the recogniser."""


class Shared:
    """A `Run` for any number of threads, one at a time; what it gives stays."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._lock = threading.Lock()

    def __call__(self, graph: str, inputs: Mapping[str, Array]) -> Mapping[str, Array]:
        """See Run."""
        with self._lock:
            return {name: np.array(value) for name, value in self._run(graph, inputs).items()}


class Speech:
    """An FSMN-VAD that is loaded: finds speech in any number of streams.

    Raises the errors of finding and loading a model.
    """

    def __init__(self, options: TranscribeOptions) -> None:
        checkpoint = _found(options.vad, "vad", options)
        silence = options.max_end_silence_ms
        overrides = {} if silence is None else {"max_end_silence_time": silence}
        self.name = checkpoint.name
        self.vad = FsmnVad(checkpoint, max_single_segment_time=round(1000 * options.max_segment), **overrides)
        self._run = _runner(checkpoint, options, options.vad_device)

    def stream(self) -> FsmnStream:
        """Scores of a new stream."""
        return self.vad.stream(self._run)


class Marks:
    """A punctuation model that is loaded. Errors as for `Speech`."""

    def __init__(self, model: str, options: TranscribeOptions) -> None:
        checkpoint = _found(model, "punctuation", options)
        self.name = checkpoint.name
        self.punctuator = Punctuator(checkpoint, _runner(checkpoint, options, options.punctuation_device))


def _found(model: str, role: Role, options: TranscribeOptions) -> Checkpoint:
    checkpoint = checkpoints.find(model, hub=options.hub)
    check_role(checkpoint, role)
    return checkpoint


def _runner(checkpoint: Checkpoint, options: TranscribeOptions, device: str | None) -> Run:
    # In float32 always: they cost little, and where a sentence ends is not to depend on how fast words are wanted.
    where = resolve_device(device or "cpu")
    return Shared(load_graphs(checkpoint, options.replace(precision=None, backend="auto"), where, _THREADS).run)
