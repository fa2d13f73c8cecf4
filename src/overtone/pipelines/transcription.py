"""The transcription pipeline: sources in, `Transcript`s out."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from concurrent.futures import Future
from contextlib import ExitStack, closing
from dataclasses import replace
from typing import Any

from overtone.batching.policy import longest_segment
from overtone.engine import runtime
from overtone.engine.runtime import NO_RESERVE, ReservedCapacity, Runtime
from overtone.errors import OvertoneError, UsageError, with_source
from overtone.merging.segment_outputs import SegmentOutputs, TranscriptAggregator
from overtone.merging.sentence_emotion import SentenceEmotions
from overtone.merging.speakers.clustering import WORKING_BYTES
from overtone.merging.transcript import TranscriptBuilder
from overtone.models import checkpoints
from overtone.models.family import Role
from overtone.models.registry import (
    check_decode_params,
    check_role,
    decode_params_for,
    vocabulary_of,
    writes_punctuation,
)
from overtone.options import sources
from overtone.options.emotion import Options
from overtone.options.transcription import TranscribeOptions
from overtone.pipelines.auxiliary import PunctuationModel, SpeechDetector
from overtone.pipelines.base import Pipeline
from overtone.pipelines.emotion import EmotionRecognizer
from overtone.pipelines.ingest import SubmittedSource
from overtone.pipelines.request import CallOptions, RequestContext, submit_to_model
from overtone.segmentation.fsmn.segmenter import FsmnSegmenter, MergingSegmenter
from overtone.segmentation.segmenters import Segmenter
from overtone.system.devices import resolve_devices
from overtone.system.profiler import NULL_PROFILER, Profiler
from overtone.types import FRAMES, Samples, Transcript

SILERO = "silero"
"""The VAD inside the package."""


class Transcriber(Pipeline[Transcript, SegmentOutputs]):
    """Tells the words in speech, who said them, and in what mood. Call it from as many threads as you like.

        transcriber = Transcriber("sensevoice", speakers=True, emotion="tiny", memory="4GiB")
        transcript = transcriber("meeting.m4a")
        for transcript in transcriber.stream(paths): ...

    model: `sensevoice`, `paraformer-zh`, a hub id or a checkpoint folder. options: see
    `overtone.TranscribeOptions`. Close it, or use it as a context manager, to free the models.

    Raises UsageError (options), ModelError (checkpoint, download), DeviceError, and BudgetError if the memory given
    cannot hold it.
    """

    options: TranscribeOptions

    def __init__(self, model: str | None = None, **options: Any) -> None:
        given = options if model is None else {"model": model, **options}
        self._start(sources.load_transcription(**given))

    @classmethod
    def with_options(
        cls, options: TranscribeOptions, stages: Profiler = NULL_PROFILER, *, reserve: ReservedCapacity = NO_RESERVE
    ) -> Transcriber:
        """A transcriber with options that are made already; neither environment nor config file is asked again.

        stages: what times it; a `TraceRecorder` keeps what it reads. reserve: capacity for what else this process does.
        """
        transcriber = cls.__new__(cls)
        transcriber._start(options, stages, reserve)
        return transcriber

    def _start(
        self, options: TranscribeOptions, stages: Profiler = NULL_PROFILER, reserve: ReservedCapacity = NO_RESERVE
    ) -> None:
        recognizer = checkpoints.find(options.model, hub=options.hub)
        check_role(recognizer, "recognizer")
        self._own_marks = writes_punctuation(recognizer)
        check_decode_params(recognizer.kind, options)
        self.kind = recognizer.kind
        """The recogniser's network, as `config.yaml` names its class."""
        if options.speakers:
            reserve = replace(reserve, resident_bytes=reserve.resident_bytes + WORKING_BYTES)
        with ExitStack() as loaded:
            # What is small is loaded first: the budget is shared out over what it leaves.
            speech = None if options.vad == SILERO else loaded.enter_context(closing(SpeechDetector(options)))
            model = self._punctuation(options)
            self._marks = None if model is None else loaded.enter_context(closing(PunctuationModel(model, options)))
            started = runtime.start(options, stages, reserve, role="recognizer", more=_more(options))
            _check_mood(started)
            self._small = loaded.pop_all()
        self._task = started.model.task
        self._speech = speech
        self._emotion, self._speakers = (started.auxiliary.get(role) for role in ("emotion", "speakers"))
        self.keeps_files = self._emotion is not None
        self._begin(started)
        used: dict[str, str] = {role: unit.name for role, unit in started.auxiliary.items()}
        self.models: dict[str, str] = {"vad": SILERO if speech is None else speech.name, **used}
        """What is used beside the recogniser, by role."""
        if self._marks is not None:
            self.models["punctuation"] = self._marks.name

    def close(self, *, drain: bool = True) -> None:
        """See Pipeline."""
        super().close(drain=drain)
        self._small.close()

    def emotion(self, options: Options) -> EmotionRecognizer:
        """Its emotion model as a recogniser of its own, in the same budget; it is closed with the transcriber.

        options: of that model, as they are made for an `EmotionRecognizer`.
        """
        if "emotion" not in self._runtime.auxiliary:
            raise UsageError("this transcriber has no emotion model; make it with emotion='tiny', or another.")
        return EmotionRecognizer.from_runtime(self._runtime.for_role("emotion", options))

    def _punctuation(self, options: TranscribeOptions) -> str | None:
        if options.punctuation == "auto":
            return None if self._own_marks else "ct-punc"
        return None if options.punctuation == "none" else options.punctuation

    @property
    def min_samples(self) -> int:
        """Samples below which one of the models has nothing to work on."""
        return max(model.task.min_samples for model in self._runtime.models.values())

    def make_segmenter(self, call: CallOptions, channels: int) -> Segmenter:
        """A segmenter by the VAD there is."""
        options = call.options
        if self._speech is None or options.whole:
            return self._segmenters.make(options, channels)
        assert isinstance(options, TranscribeOptions)
        longest = longest_segment(options.longest_s, options.batch_size_s)
        stream, found = self._speech.stream(), self._speech.vad.options
        if options.merge_length_s is None:
            return FsmnSegmenter(stream, found, longest=longest)
        return MergingSegmenter(stream, found, longest=longest, merge_length_s=options.merge_length_s)

    def decode_params(self, options: Options) -> Hashable:
        """What the recogniser is asked."""
        assert isinstance(options, TranscribeOptions)
        return decode_params_for(self.kind, options)

    def submit_segment(self, call: CallOptions, ctx: RequestContext, samples: Samples) -> list[Future[Any]]:
        """Submit a segment to the recogniser, and to the speaker and emotion models there are."""
        params = self.decode_params(call.options)
        answers = [submit_to_model(self._runtime.engine, ctx, samples, "recognizer", params)]
        if self._speakers is not None:
            answers.append(submit_to_model(self._speakers.engine, ctx, samples, "speakers"))
        if self._emotion is not None:
            answers.append(submit_to_model(self._emotion.engine, ctx, samples, "emotion", FRAMES))
        return answers

    def make_aggregator(self, call: CallOptions) -> TranscriptAggregator:
        """An aggregator of words, speakers and emotions."""
        moods = None
        if self._emotion is not None and (head := self._emotion.task.head) is not None:
            moods = SentenceEmotions(head, self._emotion.task.hop)
        return TranscriptAggregator(speakers=self._speakers is not None, moods=moods)

    def build_result(self, sent: SubmittedSource[SegmentOutputs], channel: int) -> Transcript:
        """The transcript of one channel."""
        try:
            outputs = sent.channels[channel].aggregate()
            built = self._builder(sent.call.options).build(outputs)
        except OvertoneError as error:
            raise with_source(error, sent.name) from None
        return Transcript(
            text=built.text,
            sentences=built.sentences,
            language=built.language,
            speakers=built.speakers,
            models=self.models,
            warnings=sent.warnings,
            **self._channel_fields(sent, channel),
        )

    def _failed(self, error: OvertoneError, fields: Mapping[str, Any]) -> Transcript:
        return Transcript(text="", sentences=(), models=self.models, error=error, **fields)

    def _builder(self, options: Options) -> TranscriptBuilder:
        assert isinstance(options, TranscribeOptions)
        return TranscriptBuilder(
            vocabulary_of(self._task),
            None if self._marks is None else self._marks.punctuator,
            has_punctuation=self._own_marks and options.itn,
            speakers=options.num_speakers,
        )


def _more(options: TranscribeOptions) -> dict[Role, Options]:
    """Options of the models that hear the same segments."""
    more: dict[Role, Options] = {}
    if options.speakers:
        device = options.speaker_device or options.device
        more["speakers"] = _stage(options, options.speaker_model, device)
    if options.emotion is not None:
        more["emotion"] = _stage(options, options.emotion, options.emotion_device or options.device)
    return more


def _check_mood(started: Runtime) -> None:
    unit = started.auxiliary.get("emotion")
    if unit is not None and unit.task.head is None:
        started.close(drain=False)
        raise UsageError(f"--emotion {unit.name}: has no classes, so it tells no mood; take plus-large, say.")


def _stage(options: Options, model: str, device: str) -> Options:
    """The options of another model: a precision is for the kind of device that it was asked for."""
    there, here = resolve_devices(device), resolve_devices(options.device)
    same = (there[0] == "cpu") == (here[0] == "cpu")
    return options.replace(model=model, device=device, precision=options.precision if same else None)
