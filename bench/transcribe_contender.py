"""Transcription as a contender: Overtone and FunASR, each in a process of its own (`tools/benchmark/worker.py`).

An answer holds, beside what every contender's does, `characters` of text, tags and blanks left out, and `device_bytes`,
the most that PyTorch has held on a GPU.
"""

from __future__ import annotations

import json
import re
import sys
from typing import Any
from unittest import mock

from overtone.tools.benchmark import BenchmarkWorker, interleave, worker
from overtone.tools.benchmark.worker import Answer

_CHILD = "from transcribe_contender import main; main()"

LONGEST_S = 30
"""Seconds of the longest stretch of speech that goes through a recogniser; both cut there."""

_TAG = re.compile(r"<\|[^|]*\|>")


class Process(BenchmarkWorker):
    """A contender of this file's kinds, `overtone` or `funasr`."""

    def __init__(self, kind: str) -> None:
        with mock.patch.object(interleave, "_CHILD", _CHILD):
            super().__init__(kind)


class Overtone:
    """As `overtone transcribe` runs it."""

    def load(self, **given: Any) -> Answer:
        """given: fields of `TranscribeOptions`."""
        from overtone.options.transcription import TranscribeOptions
        from overtone.pipelines.transcription import Transcriber

        self._transcriber = Transcriber.with_options(TranscribeOptions(max_segment=float(LONGEST_S), **given))
        used = self._transcriber.runtime
        return {name: getattr(used, name) for name in ("backend", "device", "precision", "threads")}

    def clip(self, source: str, **_: Any) -> Answer:
        """`text`: without blanks."""
        text = plain(self._transcriber(source).text)
        return {"text": text, "characters": len(text), **_device()}

    def folder(self, inputs: list[str], output: str, **_: Any) -> Answer:
        """All there is to tell, words and their times."""
        from overtone.audio.sources import expand
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
        """given: `model`, `vad` and maybe `punctuation`, folders; `device`; `threads`."""
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
        """times: of SenseVoice's words; a Paraformer always tells them."""
        found = self._generate(source, times)
        text = plain("".join(each["text"] for each in found))
        return {"text": text, "characters": len(text), **_device()}

    def folder(self, inputs: list[str], output: str, **_: Any) -> Answer:
        """As it is told to do many: all of them in one call."""
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
    """The process: answer until there are no more questions."""
    worker.KINDS.update(overtone=Overtone, funasr=Funasr)
    worker.main()
