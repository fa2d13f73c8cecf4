"""Settings of `transcribe.py`: the amounts, the material, and the contenders that are ready for it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from common import child
from overtone.tools.benchmark import BenchmarkWorker, WorkerDied
from overtone.types import Samples
from transcribe_contender import Process
from transcribe_material import with_models, write_pieces
from transcribe_tables import FUNASR

FULL: dict[str, Any] = {
    "clips": 12,
    "repeats": 2,
    "files": 200,
    "groups": 4,
    "hour_s": 3600.0,
    "funasr_hour_s": 3600.0,
    "long_h": 10.0,
    "short_h": 0.5,
    "memory_shape": "published",
    "calls": 200,
}
QUICK = FULL | {"repeats": 1, "files": 60, "hour_s": 900.0, "funasr_hour_s": 300.0, "memory_shape": "small"}
"""Numbers that `--quick` stands for. Each can be set by itself as well."""


Figures = dict[str, Any]

ONCE = """
from overtone.pipelines.transcription import Transcriber
began = time.perf_counter()
Transcriber(**arguments["options"]).close()
answer(seconds=time.perf_counter() - began)
"""


def load_once(options: dict[str, Any]) -> float:
    """Seconds of loading a transcriber in a child process, with all work done once in a lifetime.

    RuntimeError, with its last words, if it cannot be loaded.
    """
    seconds: float = child(ONCE, options=options)["seconds"]
    return seconds


@dataclass
class Bench:
    """Settings of the comparison. `given`: numbers of `FULL`, and more of the command line."""

    place: Path
    checkpoints: Path
    size: str
    threads: int
    speech: list[Samples]
    given: argparse.Namespace
    usable: dict[str, tuple[str, ...]] = field(default_factory=dict)
    left_out: dict[str, dict[str, str]] = field(default_factory=dict)
    gpu: str | None = None

    def models(self, model: str, size: str | None = None) -> dict[str, Any]:
        """The folders of a recognizer and of its auxiliary models, and where they run."""
        size = size or self.size
        punctuation = "small" if size == "small" else self.given.punctuation
        found = with_models(self.checkpoints, model, size, punctuation, self.threads)
        return {**found, "device": self.given.device, "threads": self.threads}

    def precisions(self, model: str) -> tuple[str, ...]:
        """Those that can be loaded; once, so that conversion is done and costs are known before anything is timed."""
        if model not in self.usable:
            self.left_out[model] = {}
            for name in self._wanted():
                try:
                    seconds = load_once({**self.models(model), "precision": name})
                except RuntimeError as error:
                    self.left_out[model][name] = " ".join(str(error).split())[-300:]
                    print(f"{model}: {name} is left out: {self.left_out[model][name]}", file=sys.stderr)
                else:
                    print(f"{model}: {name} is ready after {seconds:.1f} s", flush=True)
            self.usable[model] = tuple(name for name in self._wanted() if name not in self.left_out[model])
            if not self.usable[model]:
                raise WorkerDied("it can be loaded in no precision")
        return self.usable[model]

    def _wanted(self) -> tuple[str, ...]:
        from overtone.backends.openvino.compiled_model import has_fast_bf16

        if self.given.device != "cpu":
            return ("fp32", "bf16", "fp16")
        return ("fp32", "bf16", "int8") if has_fast_bf16() else ("fp32", "int8")

    @contextmanager
    def contenders(self, model: str) -> Iterator[dict[str, BenchmarkWorker]]:
        """The processes, their models loaded and warm."""
        precisions = self.precisions(model)
        (warm_up,) = write_pieces(self.place / "warm-up", self.speech, [self.given.clip_s], seed=1)
        with ExitStack() as stack:
            started: dict[str, BenchmarkWorker] = {}
            for name in (FUNASR, *precisions):
                theirs = name == FUNASR
                started[name] = stack.enter_context(Process("funasr" if theirs else "overtone"))
                given: dict[str, Any] = {**self.models(model), **({} if theirs else {"precision": name})}
                loaded = started[name].ask("load", **given)
                self.gpu = loaded.get("gpu", self.gpu)
                started[name].ask("clip", source=str(warm_up))
                print(f"{model}, {name}: {loaded['seconds']:.1f} s to load; {loaded['device']}", flush=True)
            yield started
