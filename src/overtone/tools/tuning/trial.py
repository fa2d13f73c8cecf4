"""One trial: the options of one setting run over the sample. The child's half, and the parent's that starts it.

Each runs in a new process: its peak memory counts nothing else, and nothing that one trial leaves behind helps or
hinders the next. The request goes in and the measurements come out as one JSON text each, through standard input and
output.
"""

from __future__ import annotations

import dataclasses
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from overtone.errors import BudgetError, Code, OutOfMemory, OvertoneError
from overtone.options.emotion import Options
from overtone.pipelines.emotion import EmotionRecognizer
from overtone.results import EmotionResult
from overtone.system import subprocess_call

_TIMED_S = 1.0
"""Seconds. Passes over a short sample are repeated until they took this long together, since one alone is noise."""

_MOST_PASSES = 5

_CHILD = "from overtone.tools.tuning.trial import main; main()"

Answer = dict[str, Any]
"""A trial's answer for one source: `key`, its name and channel; `segments`, each `[start, stop, label, scores]` with
the half-open range in samples; and `embedding`."""


@dataclass(frozen=True, slots=True)
class TrialMeasurements:
    """Measurements of a trial.

    - `seconds`: of one pass over the sample, the median after one that warmed up.
    - `audio_s`: seconds of audio in it.
    - `peak_bytes`: of the process since it began, of the device on a GPU.
    - `budget_bytes`: the budget it was given.
    """

    seconds: float
    audio_s: float
    peak_bytes: int
    budget_bytes: int
    answers: tuple[Answer, ...]


class TrialError(OvertoneError):
    """A trial failed; the message says why."""

    default_code = Code.TRIAL


def run(options: Options, paths: Sequence[str], *, prepare: bool, timeout_s: float) -> TrialMeasurements:
    """Run one trial in a child process and wait for it. Raises TrialError; a child never outlives the call.

    - `prepare`: load the model in a child before it, so that a conversion and the measured costs are made and count for
      nothing.
    - `timeout_s`: for both together.
    """
    began = time.perf_counter()
    asked = {"options": dataclasses.asdict(options), "paths": list(paths)}
    if prepare:
        _call({**asked, "paths": []}, timeout_s)
    said = _call(asked, timeout_s - (time.perf_counter() - began))
    return TrialMeasurements(**{**said, "answers": tuple(said["answers"])})


def _call(asked: dict[str, Any], timeout_s: float) -> dict[str, Any]:
    pipe = subprocess.PIPE
    with subprocess.Popen(subprocess_call.command(_CHILD), stdin=pipe, stdout=pipe, stderr=pipe) as process:
        try:
            out, err = process.communicate(json.dumps(asked).encode(), timeout=max(0.0, timeout_s))
        except subprocess.TimeoutExpired:
            raise TrialError("it was not done when the time was up", code=Code.TIME) from None
        finally:
            process.kill()
    try:
        said: dict[str, Any] = json.loads(out)
    except ValueError:
        last = err.decode("utf-8", "replace").strip().rpartition("\n")[2]
        raise TrialError(f"its process ended with {process.returncode}: {last or 'it said nothing'}") from None
    if "error" in said:
        raise TrialError(said["error"], code=said["code"])
    return said


def main() -> None:
    """Read the request in the child, run it, write the measurements."""
    answer = subprocess_call.result_stream()
    asked = json.load(sys.stdin)
    try:
        said = _measured(Options(**asked["options"]), asked["paths"])
    except OvertoneError as error:
        said = {"error": error.template, "code": error.code}
    with answer:
        answer.write(json.dumps(said).encode())


def _measured(options: Options, paths: Sequence[str]) -> dict[str, Any]:
    with EmotionRecognizer.with_options(options) as recognizer:
        if not paths:
            return {}
        results = _pass(recognizer, paths)  # kernels are compiled for the shapes met here
        taken: list[float] = []
        while not taken or (sum(taken) < _TIMED_S and len(taken) < _MOST_PASSES):
            began = time.perf_counter()
            _pass(recognizer, paths)
            taken.append(time.perf_counter() - began)
        used = recognizer.runtime
        found = TrialMeasurements(
            seconds=statistics.median(taken),
            audio_s=sum(result.duration for result in results if result.channel in (None, 0)),
            peak_bytes=used.engine.peak_bytes,
            budget_bytes=used.engine.plan.budget_bytes,
            answers=tuple(_answer(result) for result in results),
        )
    return dataclasses.asdict(found)


def _pass(recognizer: EmotionRecognizer, paths: Sequence[str]) -> list[EmotionResult]:
    """The results that can be compared. Raises errors of memory, and for a sample without any usable input."""
    results = list(recognizer.stream(paths))
    for result in results:
        if isinstance(result.error, BudgetError | OutOfMemory):
            raise result.error
    usable = [result for result in results if result.ok]
    if not usable and results[0].error is not None:
        raise results[0].error
    return usable


def _answer(result: EmotionResult) -> Answer:
    segments = [
        [segment.span.start, segment.span.stop, segment.label, list(segment.scores.values())]
        for segment in result.segments
        if segment.scores is not None
    ]
    embedding = None if result.embedding is None else [float(value) for value in result.embedding]
    return {"key": [result.source, result.channel], "segments": segments, "embedding": embedding}
