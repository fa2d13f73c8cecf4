"""A contender's process: loads one model and answers commands, a JSON line for a JSON line.

It speaks as `overtone.tools.benchmark.worker` does, but imports nothing of Overtone's, so that a peer's memory is its
alone. Its last argument is the kind, a key of `KINDS`.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
import warnings
import wave
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Answer = dict[str, Any]


class Runner(Protocol):
    """Commands of a contender. Audio is given as files in WAV, 16 kHz, mono, 16 bits."""

    def load(self, **given: Any) -> Answer:
        """Load the model. `given`: `model`, a folder or file; `threads`; and what the contender is chosen by."""

    def clip(self, source: str) -> Answer:
        """Run one file, from its path to its result: `scores` or `text`."""

    def folder(self, inputs: list[str]) -> Answer:
        """Run many files, `files` of them."""


KINDS = {
    "overtone_emotion": ("peers_emotion", "Overtone"),
    "funasr_emotion": ("peers_emotion", "Funasr"),
    "onnxruntime_emotion": ("peers_emotion", "OnnxRuntime"),
    "torch_emotion": ("peers_emotion", "Torch"),
    "overtone_words": ("peers_words", "Overtone"),
    "funasr_words": ("peers_words", "Funasr"),
    "sherpa_words": ("peers_words", "SherpaOnnx"),
    "funasr_onnx_words": ("peers_words", "FunasrOnnx"),
}
"""Module and class of each runner; only the one that is asked for is imported."""


def read_wav(path: str) -> npt.NDArray[np.float32]:
    """Samples of a file, float32 (samples,), ±1."""
    with wave.open(path) as file:
        samples: npt.NDArray[np.int16] = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    return np.divide(samples, 32768, dtype=np.float32)


def peak_bytes() -> int:
    """The most memory that this process has held; with what the processes it started share and hold now."""
    status = Path("/proc/self/status")
    if status.exists():
        # Not getrusage: its figure outlives exec, and starts from what the parent held.
        (line,) = (line for line in status.read_text(encoding="utf-8").splitlines() if line.startswith("VmHWM:"))
        own = int(line.split()[1]) * 1024
    else:
        import resource

        own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    import psutil

    return own + sum(_share_bytes(child) for child in psutil.Process().children(recursive=True))


def _share_bytes(process: Any) -> int:
    import psutil

    try:
        found = process.memory_full_info()
    except psutil.Error:  # it has ended
        return 0
    return int(getattr(found, "pss", found.rss))


def answer(runner: Runner, asked: dict[str, Any]) -> Answer:
    """Do one command. Errors are answers too: what comes next may still work."""
    do = asked.pop("do")
    began = time.perf_counter()
    try:
        found = getattr(runner, do)(**asked)
    except Exception as error:  # noqa: BLE001 - any program's, of any kind
        return {"error": f"{type(error).__name__}: {error}"[:500]}
    return {"seconds": time.perf_counter() - began, "peak_bytes": peak_bytes(), **found}


def main() -> None:
    """Answer commands until there are no more."""
    warnings.simplefilter("ignore")
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # libraries print to standard error from now on
    module, name = KINDS[sys.argv[-1]]
    runner = getattr(importlib.import_module(module), name)()
    for line in sys.stdin:
        answers.write(json.dumps(answer(runner, json.loads(line))).encode() + b"\n")
        answers.flush()
