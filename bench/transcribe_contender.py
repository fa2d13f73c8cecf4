"""Transcription as a contender: Overtone and FunASR, each in a separate process (`tools/benchmark/worker.py`).

An answer holds, beside the values that every contender's has, `characters` of text, tags and blanks left out, and
`device_bytes`, the most that PyTorch has held on a GPU.
"""

from __future__ import annotations

import json
import re
import sys
from typing import Any

from overtone.tools.benchmark import BenchmarkWorker, worker
from overtone.tools.benchmark.worker import Answer

_CHILD = "from transcribe_contender import main; main()"

LONGEST_S = 30
"""Seconds of the longest stretch of speech that goes through a recognizer; both cut there."""

_TAG = re.compile(r"<\|[^|]*\|>")


class Process(BenchmarkWorker):
    """A contender of this file's kinds, `overtone` or `funasr`."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind, code=_CHILD)


class Overtone:
    """Overtone as `overtone transcribe` runs it."""

    def load(self, **given: Any) -> Answer:
        """Load with the fields of `TranscribeOptions` in `given`."""
        from overtone.options.transcription import TranscribeOptions
        from overtone.pipelines.transcription import Transcriber

        self._transcriber = Transcriber.with_options(TranscribeOptions(max_segment=float(LONGEST_S), **given))
        used = self._transcriber.runtime
        engine = used.engine
        where = {"backend": engine.backend_name, "device": engine.device, "precision": engine.precision}
        return {**where, "threads": used.threads}

    def clip(self, source: str, **_: Any) -> Answer:
        """Run one file; `text` in the answer: without blanks."""
        text = plain(self._transcriber(source).text)
        return {"text": text, "characters": len(text), **_device()}

    def folder(self, inputs: list[str], output: str, **_: Any) -> Answer:
        """Run many files to full records, words and their times."""
        from overtone.audio.inputs import expand
        from overtone.output.formats import open_sink

        characters = files = 0
        with open_sink(output, granularity="word", many=True) as sink:
            for found in self._transcriber.stream(expand(inputs)):
                if found.error is not None:
                    raise found.error
                sink.write(found)
                characters, files = characters + len(plain(found.text)), files + 1
        return {"characters": characters, "files": files, **_device()}


class Funasr:
    """FunASR's own `AutoModel`, with times of words and with figures and marks, as Overtone gives them."""

    def load(self, **given: Any) -> Answer:
        """Load with `given`: `model`, `vad` and maybe `punctuation`, folders; `device`; `threads`."""
        import logging

        import funasr

        logging.disable(logging.CRITICAL)
        self._model = funasr.AutoModel(
            model=given["model"],
            vad_model=given["vad"],
            # Its own default is twice as long, which costs attention that Overtone would not pay.
            vad_kwargs={"max_single_segment_time": 1000 * LONGEST_S},
            punc_model=given.get("punctuation"),
            device=given["device"],
            ncpu=given["threads"],
            disable_update=True,
            disable_pbar=True,
        )
        import torch

        gpu = {"gpu": torch.cuda.get_device_name()} if torch.cuda.is_available() else {}
        return {"device": self._model.kwargs["device"], "threads": torch.get_num_threads(), **gpu}

    def clip(self, source: str, times: bool = True) -> Answer:
        """Run one file. `times`: of SenseVoice's words; a Paraformer always gives them."""
        found = self._generate(source, times)
        text = plain("".join(each["text"] for each in found))
        return {"text": text, "characters": len(text), **_device()}

    def folder(self, inputs: list[str], output: str, **_: Any) -> Answer:
        """Run many files in one call, FunASR's way for many."""
        found = self._generate(inputs, True)
        with open(output, "w", encoding="utf-8") as lines:
            for each in found:
                line = {name: each[name] for name in ("key", "text", "timestamp") if name in each}
                lines.write(json.dumps(line, ensure_ascii=False) + "\n")
        return {"characters": sum(len(plain(each["text"])) for each in found), "files": len(found), **_device()}

    def _generate(self, given: str | list[str], times: bool) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._model.generate(given, language="auto", use_itn=True, output_timestamp=times)
        return found


def plain(text: str) -> str:
    """A text without tags and blanks."""
    return "".join(_TAG.sub("", text).split())


def _device() -> Answer:
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return {}
    return {"device_bytes": torch.cuda.max_memory_allocated()}


def main() -> None:
    """Answer commands until there are no more."""
    worker.KINDS.update(overtone=Overtone, funasr=Funasr)
    worker.main()
