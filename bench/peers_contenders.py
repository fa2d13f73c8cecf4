"""The contenders: which package runs what, in which precision, and how its process is started."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import peers_exports
from overtone.tools.benchmark import BenchmarkWorker

OVERTONE = "overtone"
_CHILD = "from peers_worker import main; main()"


@dataclass(frozen=True)
class Contender:
    """One way to run a model.

    - `package`: named with its version; `kind`: its runner in `peers_worker.KINDS`.
    - `precision`: of its numbers, and Overtone's that it is held beside; `form`: of the many that there are of it.
    - `file`: of the export that it runs; None for the checkpoint, empty for the export's folder.
    - `given`: of its `load`, beside model and threads.
    - `one_length`: it prepares itself for each length anew, for tens of seconds, and so runs clips of one length only.
    """

    package: str
    kind: str
    precision: str
    form: str = ""
    file: str | None = None
    given: Mapping[str, Any] = field(default_factory=dict)
    one_length: bool = False

    @property
    def name(self) -> str:
        """Package, precision and form; without its version, the same in every run."""
        return f"{self.package}, {self.precision}{f' {self.form}' if self.form else ''}"

    def label(self) -> str:
        """The name with the version that is installed."""
        return self.name.replace(self.package, f"{self.package} {version(self.package)}", 1)

    def missing(self) -> str | None:
        """The reason why it cannot be measured in this environment, if there is one."""
        try:
            version(self.package)
        except PackageNotFoundError:
            return f"{self.package} is not installed"
        needed = self.package.replace("-", "_")
        return None if importlib.util.find_spec(needed) is not None else f"{needed} cannot be imported"

    def load(self, checkpoint: str, export: Path | None, threads: int) -> dict[str, Any]:
        """The command that loads it."""
        model = checkpoint if self.file is None or export is None else str(export / self.file)
        return {"do": "load", "model": model, "threads": threads, **self.given}


def contenders(family: str, *, bf16: bool, compiled: bool = False) -> tuple[Contender, ...]:
    """Those of a family, Overtone first. bf16: whether this processor has it. compiled: with torch.compile as well."""
    precisions = ("fp32", "bf16", "int8") if bf16 else ("fp32", "int8")
    return _emotion(precisions, compiled) if family == "emotion2vec" else _words(family, precisions)


def _emotion(precisions: tuple[str, ...], compiled: bool) -> tuple[Contender, ...]:
    kind, floats = "onnxruntime_emotion", [name for name in precisions if name != "int8"]
    found = [Contender(OVERTONE, "overtone_emotion", name, given={"precision": name}) for name in precisions]
    found += [
        Contender("onnxruntime", kind, "fp32", file=peers_exports.FLOAT),
        Contender("onnxruntime", kind, "int8", "static", file=peers_exports.STATIC),
        Contender("onnxruntime", kind, "int8", "dynamic", file=peers_exports.DYNAMIC),
    ]
    found += [Contender("torch", "torch_emotion", name, "eager", given={"precision": name}) for name in floats]
    if compiled:
        for name in floats:
            given = {"precision": name, "compiled": True}
            found.append(Contender("torch", "torch_emotion", name, "compiled", given=given, one_length=True))
    return (*found, Contender("funasr", "funasr_emotion", "fp32"))


def _words(family: str, precisions: tuple[str, ...]) -> tuple[Contender, ...]:
    of = {"family": family}
    found = [Contender(OVERTONE, "overtone_words", name, given={**of, "precision": name}) for name in precisions]
    for name, file in (("fp32", "sherpa.onnx"), ("int8", "sherpa.int8.onnx")):
        found.append(Contender("sherpa-onnx", "sherpa_words", name, file="", given={**of, "file": file}))
    for name in ("fp32", "int8"):
        quantize = name == "int8"
        found.append(Contender("funasr-onnx", "funasr_onnx_words", name, file="", given={**of, "quantize": quantize}))
    return (*found, Contender("funasr", "funasr_words", "fp32", given=of))


def process(contender: Contender) -> BenchmarkWorker:
    """Its process, nothing loaded yet."""
    return BenchmarkWorker(contender.kind, code=_CHILD)
