"""The transcription pipeline as FunASR has it: its segments, its parameters, and the outputs of each segment."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any

from overtone.errors import OvertoneError
from overtone.merging.punctuation.restoration import Punctuator
from overtone.merging.segment_outputs import SegmentOutputs, TranscriptAggregator
from overtone.merging.words import RecognizedSegment
from overtone.models.fsmn_vad.options import VadOptions
from overtone.models.paraformer.task import ParaformerParams, ParaformerTask
from overtone.models.sense_voice.task import SenseVoiceParams
from overtone.models.task import Task
from overtone.options.emotion import NO_VAD, Options
from overtone.options.transcription import TranscribeOptions
from overtone.pipelines.ingest import SubmittedSource
from overtone.pipelines.recognition import RecognitionPipeline
from overtone.pipelines.request import CallOptions
from overtone.results import Transcript
from overtone.segmentation.fsmn.segmenter import FsmnSegmenter, MergingSegmenter
from overtone.segmentation.segmenters import Segmenter
from overtone.types import EmotionOutput, Segment, SpeakerEmbeddings, TokenOutput


@dataclass(frozen=True, slots=True)
class Call:
    """Settings of one of FunASR's calls.

    language, itn: of SenseVoice. times: of words, where the model does not give them anyhow. hotwords: each may have
    blanks. vad: options of the VAD; None takes files whole. merge_s: segments are joined up to so many seconds, with
    the silence between them. ban_emo_unk: of SenseVoice, which then names some mood always.
    """

    language: str = "auto"
    itn: bool = False
    times: bool = False
    hotwords: tuple[str, ...] = ()
    vad: VadOptions | None = None
    merge_s: float | None = None
    ban_emo_unk: bool = False


@dataclass(frozen=True, slots=True)
class RawOptions(TranscribeOptions):
    """Options of the pipeline, and of one call of FunASR's."""

    call: Call = Call()

    @property
    def per_call(self) -> tuple[str, ...]:
        """Names of the options that a call may give."""
        return ("call",)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class RawTranscript(Transcript):
    """A transcript that is not built yet, but the outputs it would be built of; nothing where there was an error."""

    outputs: SegmentOutputs | None = None


class RawTranscriber(RecognitionPipeline[RawOptions, RawTranscript]):
    """A transcriber whose results are the outputs of every segment."""

    @property
    def task(self) -> Task:
        """The recognizer's task."""
        return self._task

    @property
    def punctuator(self) -> Punctuator | None:
        """The punctuation model, if there is one."""
        return None if self._punctuation is None else self._punctuation.punctuator

    def make_segmenter(self, call: CallOptions[RawOptions], channels: int) -> Segmenter:
        """A segmenter by the call's own VAD options."""
        wanted = call.options.call
        if self._vad is None or wanted.vad is None:
            return self._segmenters.make(_WHOLE, channels)
        stream, max_samples = self._vad.stream(), self._runtime.max_segment_samples
        if wanted.merge_s is None:
            return FsmnSegmenter(stream, wanted.vad, longest=max_samples)
        return MergingSegmenter(stream, wanted.vad, longest=max_samples, merge_length_s=wanted.merge_s, hear_gaps=True)

    def make_aggregator(self, call: CallOptions[RawOptions]) -> TranscriptAggregator:
        """An aggregator that keeps everything."""
        return _CollectAll(speakers=self._speakers is not None)

    def decode_params(self, options: RawOptions) -> Hashable:
        """Parameters of the recognizer for one of FunASR's calls."""
        wanted = options.call
        if isinstance(self._task, ParaformerTask):
            return ParaformerParams(wanted.hotwords)
        return SenseVoiceParams(wanted.language, wanted.itn, wanted.times, wanted.ban_emo_unk)

    def build_result(
        self, sent: SubmittedSource[RawOptions, SegmentOutputs], channel: int, pooled: SegmentOutputs
    ) -> RawTranscript:
        """The outputs of one channel's segments."""
        fields = self._channel_fields(sent, channel)
        return RawTranscript(text="", sentences=(), models=self.models, outputs=pooled, **fields)

    def _failed(self, error: OvertoneError, fields: Mapping[str, Any]) -> RawTranscript:
        return RawTranscript.failed(error, models=self.models, **fields)


_WHOLE = Options(segment="none", vad=NO_VAD, keep_silence=True)
"""Files that run whole are judged whatever is in them, as in FunASR."""


class _CollectAll(TranscriptAggregator):
    """An aggregator that keeps segments without words too: their tags are part of FunASR's text."""

    def add(self, segment: Segment, answer: TokenOutput | SpeakerEmbeddings | EmotionOutput) -> None:
        """Add a model's output for a segment."""
        if isinstance(answer, TokenOutput):
            with self._lock:
                self._recognized[segment.index] = RecognizedSegment(segment.span, answer)
        else:
            super().add(segment, answer)
