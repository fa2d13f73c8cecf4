"""The models of a transcription pipeline: a recognizer, and those that hear the same segments or finish its text."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Hashable, Mapping
from concurrent.futures import Future
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from overtone.engine import runtime
from overtone.engine.runtime import ReservedCapacity, Runtime
from overtone.errors import UsageError
from overtone.merging.segment_outputs import SegmentOutputs
from overtone.merging.speakers.clustering import WORKING_BYTES
from overtone.models import checkpoints
from overtone.models.family import Role
from overtone.models.registry import check_decode_params, check_role, writes_punctuation
from overtone.options.emotion import INSIDE, NO_VAD, Options
from overtone.options.transcription import TranscribeOptions
from overtone.pipelines.auxiliary import PunctuationModel, SpeechDetector
from overtone.pipelines.base import Pipeline
from overtone.pipelines.request import CallOptions, RequestContext, submit_to_model
from overtone.results import Transcript
from overtone.system.devices import resolve_devices
from overtone.system.profiler import Profiler
from overtone.types import FRAMES, Samples
from overtone.wording import param

RecognitionOptionsT = TypeVar("RecognitionOptionsT", bound=TranscribeOptions)
TranscriptT = TypeVar("TranscriptT", bound=Transcript)


class RecognitionPipeline(Pipeline[RecognitionOptionsT, SegmentOutputs, TranscriptT]):
    """A pipeline around a recognizer, with VAD, punctuation, speaker and emotion models as the options ask for them.

    Subclasses define the result, and what the recognizer is asked.
    """

    def _call_options(self, options: Mapping[str, Any], *, envelope: bool) -> CallOptions[RecognitionOptionsT]:
        call = super()._call_options(options, envelope=envelope)
        check_decode_params(self.kind, call.options)
        return call

    def _load(self, options: RecognitionOptionsT, profiler: Profiler, reserve: ReservedCapacity) -> Runtime:
        recognizer = checkpoints.find(options.model, hub=options.hub)
        check_role(recognizer, "recognizer")
        self._has_punctuation = writes_punctuation(recognizer)
        check_decode_params(recognizer.kind, options)
        self.kind = recognizer.kind
        """The recognizer's network, as `config.yaml` names its class."""
        if options.speakers:
            reserve = replace(reserve, resident_bytes=reserve.resident_bytes + WORKING_BYTES)
        with ExitStack() as loaded:
            # What is small is loaded first: the budget is shared out over what it leaves.
            vad = None if options.vad in INSIDE else loaded.enter_context(closing(SpeechDetector(options)))
            name = _punctuation_model(options, has_punctuation=self._has_punctuation)
            punctuation = None if name is None else loaded.enter_context(closing(PunctuationModel(name, options)))
            started = runtime.start(options, profiler, reserve, role="recognizer", more=_more(options))
            _check_classes(started)
            self._auxiliary = loaded.pop_all()
        self._task = started.model.task
        self._vad, self._punctuation = vad, punctuation
        self._emotion, self._speakers = (started.auxiliary.get(role) for role in ("emotion", "speakers"))
        self.keeps_files = self._emotion is not None
        detector = {} if options.vad == NO_VAD else {"vad": options.vad if vad is None else vad.name}
        self.models: dict[str, str] = {**detector, **_names(started)}
        """Names of the models used beside the recognizer, by role."""
        self.folders: dict[str, Path] = {"recognizer": started.model.folder}
        """Folders of all models that were loaded from one, by role."""
        self.folders |= {role: model.folder for role, model in started.auxiliary.items()}
        if vad is not None:
            self.folders["vad"] = vad.folder
        if punctuation is not None:
            self.models["punctuation"], self.folders["punctuation"] = punctuation.name, punctuation.folder
        return started

    def rename(self, names: Mapping[Role, str]) -> None:
        super().rename(names)
        self.models |= _names(self._runtime)

    def models_of(self, options: RecognitionOptionsT) -> Mapping[str, str]:
        """Names of the models that a call with these options uses beside the recognizer, by role."""
        if options.vad == self.options.vad:
            return self.models
        others = {role: name for role, name in self.models.items() if role != "vad"}
        return others if options.vad == NO_VAD else {"vad": options.vad, **others}

    def close(self, *, drain: bool = True) -> None:
        super().close(drain=drain)
        self._auxiliary.close()

    @property
    def min_samples(self) -> int:
        """Fewest samples, at 16 kHz, that every one of the models can work on."""
        return max(model.task.min_samples for model in self._runtime.models.values())

    @abstractmethod
    def decode_params(self, options: RecognitionOptionsT) -> Hashable:
        """Parameters of the recognizer for a call with these options."""

    def submit_segment(
        self, call: CallOptions[RecognitionOptionsT], ctx: RequestContext, samples: Samples
    ) -> list[Future[Any]]:
        """Submit a segment to the recognizer, and to the speaker and emotion models there are."""
        params = self.decode_params(call.options)
        answers = [submit_to_model(self._runtime.engine, ctx, samples, "recognizer", params)]
        if self._speakers is not None:
            answers.append(submit_to_model(self._speakers.engine, ctx, samples, "speakers"))
        if self._emotion is not None:
            answers.append(submit_to_model(self._emotion.engine, ctx, samples, "emotion", FRAMES))
        return answers


def _names(runtime: Runtime) -> dict[str, str]:
    return {role: model.name for role, model in runtime.auxiliary.items()}


def _punctuation_model(options: TranscribeOptions, *, has_punctuation: bool) -> str | None:
    if options.punctuation == "auto":
        return None if has_punctuation else "ct-punc"
    return None if options.punctuation == "none" else options.punctuation


def _more(options: TranscribeOptions) -> dict[Role, Options]:
    """Options of the models that hear the same segments."""
    more: dict[Role, Options] = {}
    if options.speakers:
        device = options.speaker_device or options.device
        more["speakers"] = _options_of(options, options.speaker_model, device)
    if options.emotion is not None:
        more["emotion"] = _options_of(options, options.emotion, options.emotion_device or options.device)
    return more


def _check_classes(started: Runtime) -> None:
    """UsageError for an emotion model without classes; what was started is closed then."""
    model = started.auxiliary.get("emotion")
    if model is not None and model.task.head is None:
        started.close(drain=False)
        raise UsageError(f"{param('emotion', model.name)}: has no classes, so it tells no mood; take plus-large, say.")


def _options_of(options: Options, model: str, device: str) -> Options:
    """The options of another model: a precision is for the kind of device that it was asked for."""
    there, here = resolve_devices(device), resolve_devices(options.device)
    same = (there[0] == "cpu") == (here[0] == "cpu")
    return options.replace(model=model, device=device, precision=options.precision if same else None)
