"""`InferenceRequest`: what one request wants of one file, and the work that it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from overtone.options.emotion import Options
from overtone.output.records import Detail, Level
from overtone.server.auth import Owner
from overtone.server.inference.models import Task


@dataclass(frozen=True, slots=True)
class InferenceRequest:
    """One request for one file. options: those given, of those that a call of its task may set (`Options.per_call`).
    embedding: whether the record holds the vector. detail: how fine a transcript is. client: the network address, or
    the network, that it came from; None where that is not known."""

    options: Mapping[str, Any] = field(default_factory=dict)
    embedding: bool = False
    owner: Owner | None = None
    task: Task = "emotion"
    detail: Detail = "word"
    client: str | None = None

    @property
    def tenant(self) -> str | None:
        """The owner of its turn among requests: of its key, and where there are no keys its client."""
        return self.client if self.owner is None else self.owner.name

    @property
    def cache_identity(self) -> Mapping[str, object]:
        """The values that an answer depends on, beside the audio and the models."""
        return {**self.options, "embedding": self.embedding, "task": self.task, "detail": self.detail}

    def detail_level(self, base: Options) -> Level:
        """The detail of its records. base: the options that hold where it says nothing."""
        return self.detail if self.task == "transcribe" else base.for_call(**self.options).granularity


def overlap_factor(options: Options) -> float:
    """The number of times that each second of a source is run: once, but where windows overlap."""
    if options.segment != "window" or options.hop is None:
        return 1.0
    return max(1.0, options.window / options.hop)


def work_s(options: Options, seconds: float, channels: int) -> float:
    """Seconds of audio that the model runs for so many of a source: windows may overlap, channels stand alone."""
    return seconds * overlap_factor(options) * (channels if options.channels == "split" else 1)
