"""A task stands between the engine and the graphs of one model. It knows no runtime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from overtone.errors import ModelError
from overtone.types import Batch, ModelOutput

Array = npt.NDArray[Any]


class RunGraph(Protocol):
    """Runs one graph of the model. What it gives is valid until the same graph is run again."""

    def __call__(self, graph: str, inputs: Mapping[str, Array]) -> Mapping[str, Array]:
        """Outputs by name, of inputs by name; inputs are C-contiguous, float32 or int64."""


class Task(Protocol):
    """One model's work on a batch of waveforms. Made once, used by one thread at a time, without state between calls.

    Everything it reads from the checkpoint's folder is read when it is made; CheckpointError where that is broken.
    """

    @property
    def graphs(self) -> Sequence[str]:
        """Names of the graphs it runs, those that `overtone.models.networks.build` makes."""

    @property
    def hop(self) -> int:
        """Samples from one frame of the answer to the next."""

    @property
    def shortest(self) -> int:
        """Samples below which the model has nothing to work on."""

    def answer(self, run: RunGraph, batch: Batch) -> Sequence[ModelOutput]:
        """One answer per waveform, in order: what each would get alone, but for float rounding. ModelError where the
        model gives what are no numbers."""

    def run_worst_case(self, run: RunGraph, batch: Batch) -> None:
        """Run every graph at the most that such a batch can take, whatever is in it, and with any parameters."""


def check_finite(name: str, *values: Array) -> None:
    """ModelError, with the model's name, for what is not finite: it would be told as silence."""
    if not all(np.isfinite(some).all() for some in values):
        raise ModelError(f"{name}: gave values that are not numbers; the checkpoint or the precision is at fault")


class Vocabulary(Protocol):
    """What a recogniser's tokens mean."""

    def text(self, tokens: Sequence[int]) -> str:
        """The text of token ids."""

    def words(self, tokens: Sequence[int]) -> Sequence[tuple[str, int, int]]:
        """The words of the same text, each with the places of its first and its last token in `tokens`."""
