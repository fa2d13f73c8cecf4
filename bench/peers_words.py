"""Runners of SenseVoice and Paraformer: Overtone, FunASR, sherpa-onnx, funasr-onnx. Each gives the text of a clip.

All run a file whole; `model` of `load` is the folder of the checkpoint, or that of its export.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from peers_worker import Answer, read_wav

_TAG = re.compile(r"<\|[^|]*\|>")


def plain(text: str) -> Answer:
    """A text without tags and blanks, which contenders write differently."""
    return {"text": re.sub(r"[\s▁]", "", _TAG.sub("", text))}


class Overtone:
    """Overtone as its command line runs it, but for pauses, which it would leave out."""

    def load(self, model: str, threads: int, family: str, precision: str) -> Answer:
        """Load a checkpoint in a precision."""
        from overtone.options.transcription import TranscribeOptions
        from overtone.pipelines.transcription import Transcriber

        whole: dict[str, Any] = {"segment": "none", "punctuation": "none", "precision": precision}
        self._transcriber = Transcriber.with_options(
            TranscribeOptions(model=model, device="cpu", threads=threads, **whole)
        )
        return {"family": family, "threads": self._transcriber.runtime.threads}

    def clip(self, source: str) -> Answer:
        """Run one file, with times and confidences of its words."""
        return plain(self._transcriber(source).text)

    def folder(self, inputs: list[str]) -> Answer:
        """Run many files in one call, which forms batches."""
        done = 0
        for result in self._transcriber.stream(inputs):
            if result.error is not None:
                raise result.error
            done += 1
        return {"files": done}


class Funasr:
    """FunASR's `AutoModel`, in fp32, without times of words where it need not tell them."""

    def load(self, model: str, threads: int, family: str) -> Answer:
        """Load a checkpoint."""
        import logging

        import funasr

        logging.disable(logging.CRITICAL)
        self._model = funasr.AutoModel(model=model, device="cpu", ncpu=threads, disable_update=True, disable_pbar=True)
        return {"family": family}

    def clip(self, source: str) -> Answer:
        """Run one file."""
        return plain(self._generate(source)[0]["text"])

    def folder(self, inputs: list[str]) -> Answer:
        """Run many files in one call."""
        return {"files": len(self._generate(inputs))}

    def _generate(self, given: str | list[str]) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._model.generate(given, language="auto", use_itn=True)
        return found


class SherpaOnnx:
    """sherpa-onnx on the graph that its own recipe makes."""

    def load(self, model: str, threads: int, family: str, file: str) -> Answer:
        """Load `file` of the folder of an export."""
        import sherpa_onnx

        folder = Path(model)
        common = {"tokens": str(folder / "tokens.txt"), "num_threads": threads}
        if family == "sensevoice":
            self._recognizer = sherpa_onnx.OfflineRecognizer.from_sense_voice(
                model=str(folder / file), use_itn=True, language="auto", **common
            )
        else:
            self._recognizer = sherpa_onnx.OfflineRecognizer.from_paraformer(paraformer=str(folder / file), **common)
        return {}

    def clip(self, source: str) -> Answer:
        """Run one file."""
        stream = self._recognizer.create_stream()
        stream.accept_waveform(16_000, read_wav(source))
        self._recognizer.decode_stream(stream)
        return plain(stream.result.text)

    def folder(self, inputs: list[str]) -> Answer:
        """Run many files one by one; several streams in a batch were slower."""
        return {"files": len([self.clip(source) for source in inputs])}


class FunasrOnnx:
    """funasr-onnx on the graph that FunASR's `AutoModel.export` makes."""

    def load(self, model: str, threads: int, family: str, quantize: bool) -> Answer:
        """Load the folder of an export."""
        import logging

        import funasr_onnx

        logging.disable(logging.CRITICAL)
        of_family = {"sensevoice": funasr_onnx.SenseVoiceSmall, "paraformer": funasr_onnx.Paraformer}[family]
        self._model = of_family(model, batch_size=1, quantize=quantize, intra_op_num_threads=threads)
        self._given: dict[str, Any] = {"language": "auto", "textnorm": "withitn"} if family == "sensevoice" else {}
        return {}

    def clip(self, source: str) -> Answer:
        """Run one file."""
        (found,) = self._model(source, **self._given)
        text = found["preds"] if isinstance(found, dict) else found
        return plain(text if isinstance(text, str) else text[0])

    def folder(self, inputs: list[str]) -> Answer:
        """Run many files one by one."""
        return {"files": len([self.clip(source) for source in inputs])}
