"""Eight-bit weights and activations, by NNCF's post-training quantization."""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from overtone.backends.openvino.emotion2vec import OpenvinoBackend
from overtone.backends.openvino.graphs import OpenvinoGraphs
from overtone.backends.openvino.runtime import read_model, save_model
from overtone.batching.policy import bucket
from overtone.models.checkpoints import EMOTION, Checkpoint
from overtone.models.converted import Converted
from overtone.models.emotion2vec.config import Architecture
from overtone.models.registry import task_of
from overtone.models.task import Array, Task
from overtone.system.machine import usable_cpus
from overtone.system.telemetry import without_telemetry
from overtone.types import Batch, Samples

_SAMPLES = 24
"""Windows of speech and stretches of waveform that ranges of activations are taken from."""

_CONVOLUTIONS = ("features", "speaker")
"""Graphs without attention."""

_MEMORIES = r".*fsmn_block.*"
"""Convolutions that each see one channel: hardly any work, and OpenVINO (2026.4) cannot run them in 8 bits as NNCF
writes them, with a range for each channel."""


def quantize(checkpoint: Checkpoint, reference: Converted, folder: Path, windows: Sequence[Samples]) -> None:
    """Write `reference`'s models with 8-bit weights and activations into `folder`, over those in float32.

    windows: speech that ranges of activations are taken from, float32 at 16 kHz, a few seconds each. A graph that
    none of it reaches stays as it is.
    """
    with without_telemetry():
        import nncf

    if checkpoint.kind in EMOTION:
        given = _emotion(checkpoint, reference, windows)
    else:
        given = _task(task_of(checkpoint), reference, windows)
    for name, items in given.items():
        # Attention is kept from losing more than it gains; convolutions need no such care.
        kind = None if name in _CONVOLUTIONS else nncf.ModelType.TRANSFORMER
        with _quiet():
            smaller = nncf.quantize(
                read_model(reference.folder / f"{name}.xml"),
                nncf.Dataset(items),
                preset=nncf.QuantizationPreset.MIXED,
                model_type=kind,
                subset_size=len(items),
                ignored_scope=nncf.IgnoredScope(patterns=[_MEMORIES], validate=False),
            )
        save_model(smaller, folder / f"{name}.xml")


def _emotion(checkpoint: Checkpoint, reference: Converted, windows: Sequence[Samples]) -> dict[str, list[Any]]:
    """What emotion2vec's two graphs are given of some windows."""
    architecture = Architecture.from_config(checkpoint.config, checkpoint.name)
    backend = OpenvinoBackend(reference.folder, architecture, precision="fp32", threads=usable_cpus())
    windows = [window for window in windows[:_SAMPLES] if len(window) >= architecture.receptive_samples]
    stretches = [stretch for window in windows for stretch in backend.stretches(window)]
    chosen = stretches[:: max(1, len(stretches) // _SAMPLES)][:_SAMPLES]
    encoded = [
        {"features": features, "counts": np.array([features.shape[1]])}
        for features in (backend.features([window]) for window in windows)
    ]
    backend.close()
    return {"features": [{"waveforms": stretch} for stretch in chosen], "encoder": encoded}


def _task(task: Task, reference: Converted, windows: Sequence[Samples]) -> dict[str, list[Any]]:
    """What any other model's graphs are given of some windows, graph by graph."""
    graphs = OpenvinoGraphs(reference.folder, task.graphs, precision="fp32", threads=usable_cpus())
    given: dict[str, list[Any]] = {}

    def run(graph: str, inputs: Mapping[str, Array]) -> Mapping[str, Array]:
        kept = given.setdefault(graph, [])
        if len(kept) < _SAMPLES:
            kept.append({name: np.array(value) for name, value in inputs.items()})
        return graphs.run(graph, inputs)

    for window in windows[:_SAMPLES]:
        if len(window) >= task.shortest:
            task.answer(run, Batch((window,), bucket(len(window))))
    graphs.close()
    return given


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
