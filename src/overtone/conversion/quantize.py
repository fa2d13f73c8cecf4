"""Eight-bit weights and activations, by NNCF's post-training quantization."""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from overtone.backends.openvino_backend import OpenvinoBackend
from overtone.checkpoints import Checkpoint
from overtone.compiled import openvino, read_model, untold
from overtone.converted import MODELS, Converted
from overtone.models.architecture import Architecture
from overtone.resources import usable_cpus
from overtone.values import Samples

_SAMPLES = 24
"""Windows of speech and stretches of waveform that ranges of activations are taken from."""


def quantize(checkpoint: Checkpoint, reference: Converted, folder: Path, windows: Sequence[Samples]) -> None:
    """Write `reference`'s models with 8-bit weights and activations into `folder`.

    windows: speech that ranges of activations are taken from, float32 at 16 kHz, a few seconds each.
    """
    with untold():
        import nncf

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
    datasets: tuple[list[Any], list[Any]] = ([{"waveforms": stretch} for stretch in chosen], encoded)
    kinds = (None, nncf.ModelType.TRANSFORMER)
    for name, items, kind in zip(MODELS, datasets, kinds, strict=True):
        with _quiet():
            smaller = nncf.quantize(
                read_model(reference.folder / name),
                nncf.Dataset(items),
                preset=nncf.QuantizationPreset.MIXED,
                model_type=kind,
                subset_size=len(items),
            )
        openvino().save_model(smaller, folder / name, compress_to_fp16=False)


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
