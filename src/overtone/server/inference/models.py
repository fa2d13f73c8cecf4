"""`ModelSet`: the models of a service, and the options that they support."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from overtone.conversion import fingerprint
from overtone.engine.engine import Engine
from overtone.models import checkpoints, registry
from overtone.pipelines.emotion import EmotionRecognizer
from overtone.pipelines.transcription import Transcriber

Task = Literal["emotion", "transcribe"]
"""The tasks that a request can name."""

AnyPipeline = EmotionRecognizer | Transcriber
"""The pipeline of a task."""


@dataclass(frozen=True, slots=True, eq=False)
class ModelSet:
    """The models of a service. transcriber: None where nothing is written down; else `emotion` is its own emotion
    model, so that all models are in one budget."""

    emotion: EmotionRecognizer
    transcriber: Transcriber | None = None

    @property
    def engines(self) -> tuple[Engine, ...]:
        """Every engine, that of the emotion model first. It hears all audio, also that of transcription."""
        if self.transcriber is None:
            return (self.emotion.runtime.engine,)
        runtime = self.transcriber.runtime
        others = (unit.engine for role, unit in runtime.auxiliary.items() if role != "emotion")
        return (self.emotion.runtime.engine, runtime.engine, *others)

    def fingerprints(self) -> Mapping[Task, str]:
        """Hashes that tell the models of each task from any others; reads their weights, if that was not done."""
        found: dict[Task, str] = {"emotion": _of_emotion(self.emotion)}
        if self.transcriber is not None:
            found["transcribe"] = _of_transcriber(self.transcriber, found["emotion"])
        return found

    def close(self, *, drain: bool = True) -> None:
        """Finish the queue (without `drain`: drop it) and free them all."""
        self.emotion.close(drain=drain)
        if self.transcriber is not None:
            self.transcriber.close(drain=drain)


def check_wish(transcriber: Transcriber, **options: Any) -> None:
    """UsageError for options of a call that the recognizer can do nothing with, such as words to listen for."""
    registry.check_decode_params(transcriber.kind, transcriber.options.for_call(**options))


def supported_options(transcriber: Transcriber) -> frozenset[str]:
    """Names of the options, of language, itn, hotwords and num_speakers, that it can do something with."""
    declared = registry.decode_options(transcriber.kind)
    return declared | {"num_speakers"} if transcriber.options.speakers else declared


def _of_emotion(recognizer: EmotionRecognizer) -> str:
    network = recognizer.runtime.model
    found = checkpoints.read(network.folder, name=network.name)
    return fingerprint(found, strict=not recognizer.options.ignore_unknown_tensors)


def _of_transcriber(transcriber: Transcriber, emotion: str) -> str:
    """The recognizer's, and those of every other model that shapes the text."""
    strict = not transcriber.options.ignore_unknown_tensors
    parts = [
        f"{role} {fingerprint(checkpoints.read(folder, name=role), strict=strict)}"
        for role, folder in sorted(transcriber.folders.items())
        if role != "emotion"
    ]
    return ", ".join([*parts, f"emotion {emotion}"])
