"""Eight-bit weights and activations, by NNCF's post-training quantization."""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

from overtone.backends.openvino.compiled_model import save_model
from overtone.backends.openvino.graphs import OpenvinoGraphs
from overtone.backends.openvino.model_file import ModelFile
from overtone.models.checkpoints import Checkpoint
from overtone.models.converted import Converted
from overtone.models.registry import task_of
from overtone.system.machine import usable_cpus
from overtone.system.telemetry import without_telemetry
from overtone.types import Samples

_SAMPLES = 24
"""Windows of speech and stretches of waveform that ranges of activations are taken from."""

_MEMORIES = r".*fsmn_block.*"
"""Convolutions that each see one channel: hardly any work, and OpenVINO (2026.4) cannot run them in 8 bits as NNCF
writes them, with a range for each channel."""

_NORMS = "MVN"
"""Layer norms, which are computed in float: what they take needs no 8 bits, and loses by them. Local features of the
base shape keep a cosine of 0.915 to those in float32 instead of 0.892 (random weights)."""


def quantize(checkpoint: Checkpoint, reference: Converted, folder: Path, windows: Sequence[Samples]) -> None:
    """Write `reference`'s models with 8-bit weights and activations into `folder`, over those in float32.

    windows: speech that ranges of activations are taken from, float32 at 16 kHz, a few seconds each. A graph that
    none of it reaches stays as it is.
    """
    with without_telemetry():
        import nncf

    task = task_of(checkpoint)
    graphs = OpenvinoGraphs(
        reference,
        task.graphs,
        precision="fp32",
        threads=usable_cpus(),
        wrap=task.runner,
    )
    given = task.calibration_inputs(graphs.run, windows, _SAMPLES, graphs.runners.__getitem__)
    graphs.close()
    for name, items in given.items():
        # Attention is kept from losing more than it gains; convolutions need no such care.
        kind = None if name in task.convolutional else nncf.ModelType.TRANSFORMER
        with _quiet():
            smaller = nncf.quantize(
                ModelFile(reference.folder / f"{name}.xml", reference.checksums).model,
                nncf.Dataset(list(items)),
                preset=nncf.QuantizationPreset.MIXED,
                model_type=kind,
                subset_size=len(items),
                ignored_scope=nncf.IgnoredScope(patterns=[_MEMORIES], types=[_NORMS], validate=False),
            )
        save_model(smaller, folder / f"{name}.xml")


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """NNCF draws progress bars and logs what it found; neither is asked for here."""
    log = logging.getLogger("nncf")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        log.setLevel(level)
