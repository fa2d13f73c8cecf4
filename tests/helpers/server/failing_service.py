"""`overtone` with a model that fails where a test wants it to.

    python tests/helpers/server/failing_service.py serve …

Two files in the current folder hold it up while they are there: `hold`, every batch; `hold-start`, every start of the
model but the first. `batches` gets a line for each batch that is tried: how many segments it has. `stalled`, there when
it starts, says after how many seconds a client that reads nothing is let go.
"""

from __future__ import annotations

import itertools
import time
from pathlib import Path
from typing import Any

import numpy as np

from overtone.cli import main
from overtone.errors import DeviceError
from overtone.server import state
from overtone.server.middleware import connection

DEADLY, POISONED = 0.9, 0.98
"""Peaks of a waveform: from the first one on the device is lost over it, and from the second one on it is refused."""

_START = state.recognizer_for
_STARTS = itertools.count()


def _recognizer(*given: Any) -> Any:
    if next(_STARTS):
        _held("hold-start")
    recognizer = _START(*given)
    backend = recognizer.runtime.engine.workers[0].backend
    run = backend.run

    def failing(batch: Any) -> Any:
        _held("hold")
        with Path("batches").open("a", encoding="utf-8") as file:
            file.write(f"{len(batch.waveforms)}\n")
        peaks = [float(np.abs(waveform).max()) for waveform in batch.waveforms]
        if any(DEADLY <= peak < POISONED for peak in peaks):
            raise DeviceError("the device is lost")
        if any(peak >= POISONED for peak in peaks):
            raise ValueError("no such waveform")
        return run(batch)

    backend.run = failing
    return recognizer


def _held(name: str) -> None:
    while Path(name).exists():  # for as long as the test says
        time.sleep(0.01)


if __name__ == "__main__":
    state.recognizer_for = _recognizer
    if (sooner := Path("stalled")).exists():
        connection.STALLED_S = float(sooner.read_text(encoding="utf-8"))
    main()
