"""How far a model in another precision says what it says in float32."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from overtone import converted as on_disk
from overtone.backends.openvino_backend import OpenvinoBackend
from overtone.checkpoints import Checkpoint
from overtone.converted import Agreement, Converted
from overtone.head import Head
from overtone.models.architecture import Architecture
from overtone.plan import bucket
from overtone.resources import usable_cpus
from overtone.values import Batch, Samples


def measure(
    checkpoint: Checkpoint, models: tuple[Converted, Converted], windows: Sequence[Samples], audio: str
) -> Agreement:
    """Run both models, float32 first, on the same windows and compare. audio: what the windows are of, for the
    record."""
    architecture = Architecture.from_config(checkpoint.config, checkpoint.name)
    expected, found = (_embeddings(model, architecture, windows) for model in models)
    head = on_disk.read_head(models[0], checkpoint, architecture.embed_dim)
    return compare(expected, found, head, audio)


def compare(
    expected: npt.NDArray[np.float64], found: npt.NDArray[np.float64], head: Head | None, audio: str
) -> Agreement:
    """Agreement of two models' mean embeddings, each (windows, dim)."""
    lengths = np.linalg.norm(expected, axis=1) * np.linalg.norm(found, axis=1)
    cosine = float(((expected * found).sum(axis=1) / np.maximum(lengths, 1e-30)).mean())
    if head is None:
        return Agreement(audio, len(expected), None, None, cosine)
    ours, theirs = head.scores(found), head.scores(expected)
    same = float((ours.argmax(axis=1) == theirs.argmax(axis=1)).mean())
    return Agreement(audio, len(expected), same, float(np.abs(ours - theirs).mean()), cosine)


def _embeddings(model: Converted, architecture: Architecture, windows: Sequence[Samples]) -> npt.NDArray[np.float64]:
    """Mean embedding of each window, (windows, dim)."""
    backend = OpenvinoBackend(model.folder, architecture, precision=model.precision, threads=usable_cpus())
    means = []
    for window in windows:
        output = backend.run(Batch((window,), bucket(len(window))))[0]
        means.append(output.total / output.count)
    backend.close()
    return np.stack(means)
