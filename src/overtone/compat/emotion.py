"""Emotion models: labels and scores of whole files, silence judged like anything else, labels as published."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from overtone.compat.arguments import Arguments
from overtone.compat.inputs import named
from overtone.errors import UsageError
from overtone.models.checkpoints import Checkpoint
from overtone.pipelines.emotion import EmotionRecognizer
from overtone.results import EmotionResult
from overtone.types import SAMPLE_RATE, Granularity

_DEFAULTS = ("granularity", "extract_embedding", "output_dir", "fs")
_KNOWN = (*_DEFAULTS, "key")


class EmotionAdapter:
    """FunASR's calls for an emotion model. options: of the `EmotionRecognizer`."""

    def __init__(
        self, checkpoint: Checkpoint, given: Mapping[str, Any], options: Mapping[str, Any], arguments: Arguments
    ) -> None:
        self._defaults = arguments.heeded(given, "AutoModel", _DEFAULTS, checkpoint=checkpoint)
        self._arguments = arguments
        self.folder = checkpoint.folder
        self._recognizer = EmotionRecognizer(
            str(self.folder), **options, context="full", vad="none", keep_silence=True, labels="published"
        )

    def close(self) -> None:
        """Free the model."""
        self._recognizer.close()

    def generate(
        self, input: Any, progress: Callable[[int, int], None] | None, arguments: Mapping[str, Any]
    ) -> list[dict[str, Any]]:
        """One dictionary for each input: `key`, `labels`, `scores`, and `feats` with `extract_embedding`.

        `scores` are those of the whole input, also with granularity="frame", where `feats` has a row of (dim,) for each
        20 ms; with "utterance" it is their mean. output_dir: where `<key>.npy` with the same is written.
        """
        wanted = {**self._defaults, **self._arguments.heeded(arguments, "generate", _KNOWN)}
        granularity = wanted.get("granularity", "utterance")
        if granularity not in ("utterance", "frame"):
            raise UsageError(f"granularity={granularity!r} is not known; use 'utterance' or 'frame'.")
        inputs = list(named(input, wanted.get("key"), wanted.get("fs", SAMPLE_RATE)))
        fine: Granularity = "frame" if granularity == "frame" else "utterance"
        results: list[dict[str, Any]] = []
        for result in self._recognizer.stream((source for _, source in inputs), granularity=fine):
            if result.error is not None:
                raise result.error
            key = inputs[len(results)][0]
            embedding = wanted.get("extract_embedding", True)
            record = self._as_funasr(result, key, wanted.get("output_dir"), embedding=embedding)
            results.append(record)
            if progress is not None:
                progress(len(results), len(inputs))
        return results

    def _as_funasr(
        self, result: EmotionResult, key: str, output_dir: str | os.PathLike[str] | None, *, embedding: bool
    ) -> dict[str, Any]:
        scores = result.pooled.scores or {} if result.pooled else {}
        record: dict[str, Any] = {
            "key": key,
            "labels": list(self._recognizer.labels),
            "scores": list(scores.values()),
        }
        if embedding or not scores:
            feats = result.frames.embeddings.numpy() if result.frames else result.embedding
            record["feats"] = feats
            if output_dir is not None and feats is not None:
                folder = Path(output_dir)
                folder.mkdir(parents=True, exist_ok=True)
                np.save(folder / f"{Path(key).name}.npy", feats)
        return record
