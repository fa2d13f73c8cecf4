"""The transcription pipeline as FunASR has it: its segments, its wishes, and everything that was heard in them."""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable
from dataclasses import dataclass

from overtone.engine.runtime import Runtime
from overtone.errors import OvertoneError, with_source
from overtone.merging.punctuation.restoration import Punctuator
from overtone.merging.segment_outputs import SegmentOutputs, TranscriptAggregator
from overtone.merging.words import RecognizedSegment
from overtone.models.fsmn_vad.options import VadOptions
from overtone.models.paraformer.task import ParaformerParams, ParaformerTask
from overtone.models.sense_voice.task import SenseVoiceParams
from overtone.models.task import Task
from overtone.options.emotion import Options
from overtone.options.transcription import TranscribeOptions
from overtone.pipelines.auxiliary import SpeechDetector
from overtone.pipelines.ingest import SubmittedSource
from overtone.pipelines.transcription import SpeechWay, Transcriber
from overtone.pipelines.way import Way
from overtone.segmentation.fsmn.segmenter import FsmnSegmenter, MergingCutter
from overtone.segmentation.segmenters import Segmenter
from overtone.types import EmotionOutput, Span, SpeakerEmbeddings, TokenOutput, Transcript


@dataclass(frozen=True, slots=True)
class Call:
    """What one call asks for. language, itn: of SenseVoice. times: of words, where the model does not tell them anyhow.
    hotwords: each may have blanks. vad: how speech is found; None takes files whole. merge_s: segments are joined up to
    so many seconds, with the silence between them."""

    language: str = "auto"
    itn: bool = False
    times: bool = False
    hotwords: tuple[str, ...] = ()
    vad: VadOptions | None = None
    merge_s: float | None = None


@dataclass(frozen=True, slots=True)
class RawOptions(TranscribeOptions):
    """Options of the pipeline, and of one call of FunASR's."""

    call: Call = Call()

    @property
    def per_call(self) -> tuple[str, ...]:
        """See Options."""
        return ("call",)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class RawTranscript(Transcript):
    """A transcript that is not told yet, but what it would be told of; nothing where there was an error."""

    gathered: SegmentOutputs | None = None


class RawTranscriber(Transcriber):
    """A transcriber whose results are what was heard. Its options are `RawOptions`."""

    @property
    def task(self) -> Task:
        """The recogniser's."""
        return self._task

    @property
    def punctuator(self) -> Punctuator | None:
        """The punctuation model, if there is one."""
        return None if self._marks is None else self._marks.punctuator

    def _way(self, started: Runtime, speech: SpeechDetector | None) -> Way[SegmentOutputs]:
        return _Way(started, self.kind, self._task, speech)

    def _result(self, sent: SubmittedSource[SegmentOutputs], channel: int, name: str, key: str | None) -> Transcript:
        try:
            gathered = sent.tracks[channel].wait()
        except OvertoneError as error:
            raise with_source(error, name) from None
        blank = self._empty_result(name, key, sent, channel)
        known = {field.name: getattr(blank, field.name) for field in dataclasses.fields(blank)}
        return RawTranscript(**known, gathered=gathered)


_WHOLE = Options(segment="none", keep_silence=True)
"""Files that run whole are judged whatever their level, as in FunASR."""


class _Way(SpeechWay):
    """The transcriber's way, with each call's own wishes."""

    def __init__(self, started: Runtime, kind: str, task: Task, speech: SpeechDetector | None) -> None:
        super().__init__(started, kind, speech)
        self._task = task

    def make_segmenter(self, options: Options, channels: int) -> Segmenter:
        """See Way."""
        call = _call(options)
        if self._speech is None or call.vad is None:
            return self._cutters.make(_WHOLE, channels)
        stream, longest = self._speech.stream(), self._runtime.max_segment_samples
        if call.merge_s is None:
            return FsmnSegmenter(stream, call.vad, longest=longest)
        return MergingCutter(stream, call.vad, longest=longest, merge_length_s=call.merge_s, hear_gaps=True)

    def make_aggregator(self, options: Options) -> TranscriptAggregator:
        """See Way."""
        return _CollectAll(speakers=self._voices is not None)

    def decode_params(self, options: Options) -> Hashable:
        """See SpeechWay."""
        call = _call(options)
        if isinstance(self._task, ParaformerTask):
            return ParaformerParams(call.hotwords)
        return SenseVoiceParams(call.language, call.itn, call.times)


def _call(options: Options) -> Call:
    assert isinstance(options, RawOptions)
    return options.call


class _CollectAll(TranscriptAggregator):
    """A gatherer that keeps segments in which no words were heard too: their tags are part of FunASR's text."""

    def add(self, index: int, span: Span, answer: TokenOutput | SpeakerEmbeddings | EmotionOutput) -> None:
        """See Merging."""
        if isinstance(answer, TokenOutput):
            with self._lock:
                self._heard[index] = RecognizedSegment(span, answer)
        else:
            super().add(index, span, answer)
