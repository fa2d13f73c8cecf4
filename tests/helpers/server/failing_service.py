"""`overtone` with a model that fails where a test wants it to.

    python tests/helpers/server/failing_service.py serve …

Files in the current folder hold it up while they are there: `hold`, every batch of the emotion model; `hold-after`,
those after as many seconds of audio as it says; `hold-start`, every start of the model but the first. `batches` gets a
line for each batch that is tried: how many segments it has. It waits as a hurried one does (`hurried_service.py`).
"""

from __future__ import annotations

import itertools
import math
import time
from pathlib import Path
from typing import Any

import numpy as np

from overtone.cli import main
from overtone.errors import DeviceError
from overtone.server import state
from overtone.types import SAMPLE_RATE

DEADLY, POISONED = 0.9, 0.98
"""Peaks of a waveform: from the first one on the device is lost over it, and from the second one on it is refused."""

_START = state.model_loader_for
_STARTS = itertools.count()


def _models(*given: Any) -> Any:
    if next(_STARTS):
        _held("hold-start")
    models = _START(*given)
    backend = models.emotion.runtime.engine.workers[0].backend
    run = backend.run
    tried_s = 0.0

    def failing(batch: Any) -> Any:
        nonlocal tried_s
        _held("hold")
        while tried_s >= _most_s():
            time.sleep(0.01)
        tried_s += sum(map(len, batch.waveforms)) / SAMPLE_RATE
        with Path("batches").open("a", encoding="utf-8") as file:
            file.write(f"{len(batch.waveforms)}\n")
        peaks = [float(np.abs(waveform).max()) for waveform in batch.waveforms]
        if any(DEADLY <= peak < POISONED for peak in peaks):
            raise DeviceError("the device is lost")
        if any(peak >= POISONED for peak in peaks):
            raise ValueError("no such waveform")
        return run(batch)

    backend.run = failing
    return models


def _held(name: str) -> None:
    while Path(name).exists():  # for as long as the test says
        time.sleep(0.01)


def _most_s() -> float:
    path = Path("hold-after")
    return float(path.read_text(encoding="utf-8")) if path.exists() else math.inf


if __name__ == "__main__":
    from hurried_service import hurry  # which lies beside this script

    state.model_loader_for = _models
    hurry()
    main()
