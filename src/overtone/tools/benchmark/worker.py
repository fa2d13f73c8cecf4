"""A contender: a process that loads one model, stays, and answers commands, a JSON line for a JSON line.

Its last argument is its kind, `overtone` or `funasr`; `overtone.tools.benchmark.interleave` starts it.

Commands: `{"do": "load", …}`, `{"do": "clip", "source": …}`, `{"do": "folder", "inputs": […], "output": …}` and
`{"do": "limit", "bytes": …}`. An answer holds `seconds`, measured here around the work alone, and `peak_bytes` of this
process since it began; or `error`, with all that the caller needs to raise it again.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any, Protocol

from overtone.errors import OvertoneError
from overtone.system import subprocess_call

Answer = dict[str, Any]


class Runner(Protocol):
    """Commands of a contender. Paths are text; seconds are of audio."""

    def load(self, **given: Any) -> Answer:
        """Load the model; answer the device it runs on."""

    def clip(self, source: str) -> Answer:
        """Run one file, from its path to its result."""

    def folder(self, inputs: list[str], output: str, **given: Any) -> Answer:
        """Run many files, to JSON lines."""


class Overtone:
    """Overtone as its command line runs it. Loading imports it, so that a contender's load counts the import."""

    def load(self, **given: Any) -> Answer:
        """Load with the fields of `overtone.Options` in `given`."""
        from overtone.options.emotion import Options
        from overtone.pipelines.emotion import EmotionRecognizer

        self._recognizer = EmotionRecognizer.with_options(Options(**given))
        used = self._recognizer.runtime
        engine = used.engine
        return {
            "model": used.model.name,
            "backend": engine.backend_name,
            "device": engine.device,
            "precision": engine.precision,
            "threads": used.threads,
        }

    def clip(self, source: str) -> Answer:
        """Run one file; `segments_s` in the answer: seconds of each segment that went through the model."""
        if self._recognizer.options.channels == "split":
            results = list(self._recognizer.stream([source]))
        else:
            results = [self._recognizer(source)]
        for result in results:
            if result.error is not None:
                raise result.error
        ran = [segment for result in results for segment in result.segments if segment.scores is not None]
        return {"audio_s": results[0].duration, "segments_s": [s.span.stop_s - s.span.start_s for s in ran]}

    def folder(self, inputs: list[str], output: str, **given: Any) -> Answer:
        """Run many files; `run_s` in the answer: of the seconds, those in which the model ran."""
        from overtone.audio.inputs import expand
        from overtone.output.formats import open_sink

        engine, options = self._recognizer.runtime.engine, self._recognizer.options
        before, files, audio_s = engine.stats.run_s, 0, 0.0
        with open_sink(
            output, granularity=options.granularity, labels=self._recognizer.labels, append=False, many=True
        ) as sink:
            for result in self._recognizer.stream(expand(inputs)):
                if result.error is not None:
                    raise result.error
                sink.write(result)
                files, audio_s = files + 1, audio_s + result.duration
        return {"files": files, "audio_s": audio_s, "run_s": engine.stats.run_s - before}


class Funasr:
    """FunASR's own `AutoModel`."""

    def load(self, **given: Any) -> Answer:
        """Load with `given`: `model`, a folder; `device`; `threads`."""
        import logging

        import funasr

        logging.disable(logging.CRITICAL)
        self._model = funasr.AutoModel(
            model=given["model"],
            device=given["device"],
            ncpu=given["threads"],
            disable_update=True,
            disable_pbar=True,
        )
        import torch

        return {"model": given["model"], "device": given["device"], "threads": torch.get_num_threads()}

    def clip(self, source: str) -> Answer:
        """Run one file, whole, as FunASR does."""
        self._model.generate(source)
        return {}

    def folder(self, inputs: list[str], output: str, **given: Any) -> Answer:
        """Run many files, with `batch_size` in `given` if FunASR is to use one."""
        with open(output, "w", encoding="utf-8") as lines:
            for result in self._model.generate(inputs, **given):
                line = {name: result[name] for name in ("key", "labels", "scores")}
                lines.write(json.dumps(line, ensure_ascii=False) + "\n")
        return {"files": len(inputs)}


KINDS: dict[str, Callable[[], Runner]] = {"overtone": Overtone, "funasr": Funasr}


def answer(runner: Runner, asked: dict[str, Any]) -> Answer:
    """Do one command. Errors are answers too: what comes next may still work."""
    from overtone.system.machine import peak_rss_bytes

    do = asked.pop("do")
    began = time.perf_counter()
    try:
        found = _limit(**asked) if do == "limit" else getattr(runner, do)(**asked)
    except OvertoneError as error:
        return {"error": str(error), "kind": type(error).__name__, "code": error.code}
    except Exception as error:  # noqa: BLE001 - another program's, of any kind
        return {"error": f"{type(error).__name__}: {error}"[:500]}
    return {"seconds": time.perf_counter() - began, "peak_bytes": peak_rss_bytes(), **found}


def _limit(bytes: int) -> Answer:
    """Limit the addresses of this process to so many more bytes: it gets an error where it would be killed."""
    import resource

    import psutil

    most = psutil.Process().memory_info().vms + bytes
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    return {}


def main() -> None:
    """Answer commands until there are no more."""
    warnings.simplefilter("ignore")  # what is written to standard error is shown as last words
    answers = subprocess_call.result_stream()
    runner = KINDS[sys.argv[-1]]()
    for line in sys.stdin:
        answers.write(json.dumps(answer(runner, json.loads(line))).encode() + b"\n")
        answers.flush()
