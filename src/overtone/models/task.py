"""The work of one model on a batch of waveforms, between the engine and the model's graphs. Knows no runtime."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from overtone.batching.cost_model import Shape
from overtone.batching.policy import bucket
from overtone.errors import ModelError
from overtone.types import Batch, ModelOutput, Samples

if TYPE_CHECKING:
    from overtone.models.classifier import Head

Array = npt.NDArray[Any]


class Preempted(Exception):  # noqa: N818 - no error: it was asked for
    """A batch was interrupted; nothing of it was kept."""


@dataclass(frozen=True, slots=True, eq=False)
class Ragged:
    """Waveforms of different lengths as one input of a graph, each to be followed by zeros up to `padded` samples."""

    rows: tuple[Samples, ...]
    padded: int


class RunGraph(Protocol):
    """Runs one graph of the model. Its outputs are valid until the same graph is run again."""

    def __call__(self, graph: str, inputs: Mapping[str, Any]) -> Mapping[str, Array]:
        """Outputs by name, of inputs by name, which are arrays, C-contiguous, float32 or int64, or a `Ragged`.

        Outputs that the graph keeps on a device can be handed to another graph as they are, and `numpy.asarray` copies
        them.
        """


class GraphRunner(Protocol):
    """A converted graph, ready to run. Used by one thread at a time."""

    @property
    def samples(self) -> int:
        """The last dimension of the first input, where it has only one."""

    def run(self, inputs: Mapping[str, Any]) -> Mapping[str, Array]:
        """Outputs by name, valid until the next run."""

    def preempt(self) -> None:
        """Have `run` end with `Preempted` where that can still be done soon. Called by other threads."""

    def release(self) -> None:
        """Give back what runs left allocated, to the heap; their outputs are no longer valid."""

    def release_file_pages(self) -> None:
        """Give back the pages of the weights' file, which were packed at the first run."""


class Task(ABC):
    """One model's work on a batch of waveforms. Made once, used by one thread at a time, without state between calls.

    Texts of the checkpoint's folder are read when it is made; CheckpointError where they are broken.
    """

    graphs: Sequence[str]
    """Names of the graphs it runs, those that the family builds."""
    hop: int
    """Samples from one frame of the answer to the next."""
    min_samples: int
    """Samples below which the model has nothing to work on."""
    head: Head | None = None
    """The classifier of an emotion model, once `read_weights` was called; None for others and without classes."""
    dim: int = 0
    """Numbers of an emotion model's embedding; 0 for others."""
    vocabulary: Vocabulary | None = None
    """The meaning of its tokens, where its answers are `TokenOutput`s."""
    blockwise: Sequence[str] = ()
    """Graphs whose attention a CPU computes block by block where files are run whole."""
    convolutional: Sequence[str] = ()
    """Graphs without attention, which 8 bits need not be gentle with."""
    warm_up: Sequence[Shape] = (Shape(1, 0.5), Shape(1, 8.0))
    """Batches that are run once, so that resident memory does not grow later. Few and many frames: OpenVINO packs
    weights anew for either."""

    def read_weights(self, folder: Path | None) -> None:  # noqa: B027 - most tasks have none
        """Read what the task itself computes with: from a converted folder, or (None) from the published weights.

        Raises CheckpointError.
        """

    def row_s(self, runtime: str) -> float:
        """Seconds that a row is charged for beyond its audio: what lengths are rounded up by, and tokens that stand
        for no audio. runtime: `openvino` or `torch`."""
        return 0.6

    def runner(self, graph: str, compiled: GraphRunner) -> GraphRunner:
        """The runner of a converted graph; the compiled graph itself unless it takes one shape again and again."""
        return compiled

    @abstractmethod
    def answer(self, run: RunGraph, batch: Batch) -> Sequence[ModelOutput]:
        """One answer per waveform, in order: what each would get alone, but for float rounding. ModelError where the
        model gives what are no numbers."""

    @abstractmethod
    def run_worst_case(self, run: RunGraph, batch: Batch) -> None:
        """Run every graph at the most that such a batch can take, whatever is in it, and with any parameters."""

    def calibration_inputs(
        self, run: RunGraph, windows: Sequence[Samples], most: int, compiled: Callable[[str], GraphRunner]
    ) -> Mapping[str, Sequence[Mapping[str, Array]]]:
        """Inputs of each graph, at most `most`, that ranges of activations are taken from.

        run: runs the graphs in float32. windows: speech, a few seconds each. compiled: a graph's own runner.
        """
        recorded: dict[str, list[Mapping[str, Array]]] = {}

        def record(graph: str, inputs: Mapping[str, Any]) -> Mapping[str, Array]:
            kept = recorded.setdefault(graph, [])
            if len(kept) < most:
                kept.append({name: np.array(value) for name, value in inputs.items()})
            return run(graph, inputs)

        for window in windows[:most]:
            if len(window) >= self.min_samples:
                self.answer(record, Batch((window,), bucket(len(window))))
        return recorded


def check_finite(name: str, *values: Array) -> None:
    """Raise ModelError, with the model's name, for values that are not finite: they would pass for silence."""
    if not all(np.isfinite(some).all() for some in values):
        raise ModelError(f"{name}: gave values that are not numbers; the checkpoint or the precision is at fault")


class Vocabulary(Protocol):
    """The meaning of a recognizer's tokens."""

    def text(self, tokens: Sequence[int]) -> str:
        """The text of token ids."""

    def words(self, tokens: Sequence[int]) -> Sequence[tuple[str, int, int]]:
        """The words of the same text, each with the places of its first and its last token in `tokens`."""
