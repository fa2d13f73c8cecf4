"""Runners of emotion2vec: Overtone, FunASR, ONNX Runtime, PyTorch. Each gives the scores of the whole clip.

All run a file whole, whatever it holds; those that form no batches run a folder file by file.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from peers_worker import Answer, read_wav


class Overtone:
    """Overtone as its command line runs it, but for pauses, which it would leave out."""

    def load(self, model: str, threads: int, precision: str) -> Answer:
        """Load a checkpoint in a precision."""
        from overtone.options.emotion import Options
        from overtone.pipelines.emotion import EmotionRecognizer

        whole: dict[str, Any] = {"segment": "none", "precision": precision}
        self._recognizer = EmotionRecognizer.with_options(Options(model=model, device="cpu", threads=threads, **whole))
        return {"threads": self._recognizer.runtime.threads}

    def clip(self, source: str) -> Answer:
        """Run one file."""
        pooled = self._recognizer(source).pooled  # as the others judge a file
        scores = None if pooled is None else pooled.scores
        return {"scores": [] if scores is None else list(scores.values())}

    def folder(self, inputs: list[str]) -> Answer:
        """Run many files in one call, which forms batches."""
        done = 0
        for result in self._recognizer.stream(inputs):
            if result.error is not None:
                raise result.error
            done += 1
        return {"files": done}


class Funasr:
    """FunASR's `AutoModel`, in fp32."""

    def load(self, model: str, threads: int, precision: str = "fp32") -> Answer:
        """Load a checkpoint."""
        import logging

        import funasr

        logging.disable(logging.CRITICAL)
        self._model = funasr.AutoModel(model=model, device="cpu", ncpu=threads, disable_update=True, disable_pbar=True)
        return {"precision": precision}

    def clip(self, source: str) -> Answer:
        """Run one file."""
        return {"scores": self._model.generate(source)[0]["scores"]}

    def folder(self, inputs: list[str]) -> Answer:
        """Run many files in one call; with `batch_size` it was no faster (bench/vs_funasr.py)."""
        return {"files": len(self._model.generate(inputs))}


class OnnxRuntime:
    """ONNX Runtime on the whole graph that `peers_exports.emotion2vec` writes."""

    def load(self, model: str, threads: int) -> Answer:
        """Load an ONNX file."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 4
        self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        return {}

    def clip(self, source: str) -> Answer:
        """Run one file."""
        (scores,) = self._session.run(None, {"waveforms": read_wav(source)[None]})
        return {"scores": np.asarray(scores, np.float64)[0].tolist()}

    def folder(self, inputs: list[str]) -> Answer:
        """Run many files one by one."""
        return {"files": len([self.clip(source) for source in inputs])}


class Torch:
    """PyTorch on the same network, with its fused attention; compiled for each length where that is asked for."""

    def load(self, model: str, threads: int, precision: str, compiled: bool = False) -> Answer:
        """Load a checkpoint. compiled: by torch.compile with frozen weights, which takes a C++ compiler."""
        import torch

        from peers_whole import whole

        torch.set_num_threads(threads)
        self._network: Any = whole(model, torch.bfloat16 if precision == "bf16" else torch.float32)
        if compiled:
            import torch._inductor.config as inductor

            inductor.freezing = True
            self._network = torch.compile(self._network, dynamic=False)
        return {"threads": torch.get_num_threads()}

    def clip(self, source: str) -> Answer:
        """Run one file."""
        import torch

        with torch.inference_mode():
            return {"scores": self._network(torch.from_numpy(read_wav(source))[None])[0].tolist()}

    def folder(self, inputs: list[str]) -> Answer:
        """Run many files one by one."""
        return {"files": len([self.clip(source) for source in inputs])}
