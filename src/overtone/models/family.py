"""The declaration in the folder of a model family: its networks, their role, and how each is built.

Nothing here imports a runtime: a family imports its networks and its task inside its methods, when they are called.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from overtone.models.checkpoints import Checkpoint
from overtone.options.transcription import TranscribeOptions

if TYPE_CHECKING:
    from overtone.models.graph import Graph
    from overtone.models.task import Task

Role = Literal["recognizer", "live", "vad", "punctuation", "speakers", "emotion"]

ROLE_NAMES: Mapping[Role, str] = {
    "recognizer": "speech recognition",
    "live": "speech recognition while somebody speaks",
    "vad": "voice activity detection",
    "punctuation": "punctuation",
    "speakers": "telling speakers apart",
    "emotion": "emotion",
}
"""Roles in words, for messages."""


class ModelFamily:
    """Networks that are built and used alike; in `FAMILIES` of the `family.py` of a folder here."""

    networks: tuple[str, ...]
    """Classes as `config.yaml` names them."""
    role: Role
    """The purpose of the networks."""
    precisions: tuple[str, ...] = ("fp32", "bf16", "int8")
    """Precisions that a model can be converted to."""
    exports_onnx: bool = False
    """True if PyTorch's ONNX exporter takes its graphs."""
    writes_punctuation: bool = False
    """True if a recognizer's tokens include punctuation."""
    graphs_version: int = 0
    """Number of the form that its graphs have. Raised when they take or give something else than before, or are to run
    better: what was converted and kept by then is made again."""

    def build(self, checkpoint: Checkpoint, *, strict: bool = True) -> dict[str, Graph]:
        """Graphs by name with the published weights, float32, on the CPU.

        strict: refuse tensors that the network does not know.
        Raises CheckpointError.
        """
        raise NotImplementedError  # every family has one

    def task(self, checkpoint: Checkpoint) -> Task | None:
        """The work on a batch of waveforms; None for a family that is given no segments. Raises CheckpointError."""
        return None

    def check(self, checkpoint: Checkpoint) -> None:
        """Raise CheckpointError for texts that are broken or ask for something that is not implemented.

        Reads no weights.
        """

    def labels(self, checkpoint: Checkpoint) -> tuple[str, ...] | None:
        """Labels of the classifier as published; None for a model without classes."""
        return None

    def describe(self, checkpoint: Checkpoint) -> dict[str, str]:
        """Lines of `overtone models info`, by their headings."""
        return {"network": checkpoint.kind, "for": ROLE_NAMES[self.role]}

    def write_converted(self, checkpoint: Checkpoint, folder: Path) -> None:
        """Write what a converted model needs beside its graphs and the published texts."""

    def copy_converted(self, checkpoint: Checkpoint, folder: Path) -> None:
        """Write what a copy of the converted model needs that the converted model itself reads from elsewhere."""

    def decode_options(self, kind: str) -> frozenset[str]:
        """Names of the options, of `language`, `itn` and `hotwords`, that a recognizer of this class takes."""
        return frozenset()

    def check_decode_params(self, kind: str, options: TranscribeOptions) -> None:
        """Raise UsageError for options that a recognizer of this class does not take."""

    def decode_params(self, kind: str, options: TranscribeOptions) -> Hashable:
        """Parameters of a batch for a recognizer of this class; None where it has none."""
        return None
