"""The transcription pipeline as FunASR has it: its segments, its parameters, and everything that was heard in them."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

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
from overtone.pipelines.ingest import SubmittedSource
from overtone.pipelines.request import CallOptions
from overtone.pipelines.transcription import Transcriber
from overtone.segmentation.fsmn.segmenter import FsmnSegmenter, MergingSegmenter
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

    def make_segmenter(self, call: CallOptions, channels: int) -> Segmenter:
        """A segmenter by the call's own VAD options."""
        wanted = _call(call.options)
        if self._speech is None or wanted.vad is None:
            return self._segmenters.make(_WHOLE, channels)
        stream, longest = self._speech.stream(), self._runtime.max_segment_samples
        if wanted.merge_s is None:
            return FsmnSegmenter(stream, wanted.vad, longest=longest)
        return MergingSegmenter(stream, wanted.vad, longest=longest, merge_length_s=wanted.merge_s, hear_gaps=True)

    def make_aggregator(self, call: CallOptions) -> TranscriptAggregator:
        """An aggregator that keeps everything."""
        return _CollectAll(speakers=self._speakers is not None)

    def decode_params(self, options: Options) -> Hashable:
        """What the call asks of the recogniser."""
        wanted = _call(options)
        if isinstance(self._task, ParaformerTask):
            return ParaformerParams(wanted.hotwords)
        return SenseVoiceParams(wanted.language, wanted.itn, wanted.times)

    def build_result(self, sent: SubmittedSource[SegmentOutputs], channel: int) -> Transcript:
        """What was recognised in one channel, not built into a transcript yet."""
        try:
            outputs = sent.channels[channel].aggregate()
        except OvertoneError as error:
            raise with_source(error, sent.name) from None
        fields = self._channel_fields(sent, channel)
        return RawTranscript(text="", sentences=(), models=self.models, gathered=outputs, **fields)


_WHOLE = Options(segment="none", keep_silence=True)
"""Files that run whole are judged whatever their level, as in FunASR."""


def _call(options: Options) -> Call:
    assert isinstance(options, RawOptions)
    return options.call


class _CollectAll(TranscriptAggregator):
    """A gatherer that keeps segments in which no words were heard too: their tags are part of FunASR's text."""

    def add(self, index: int, span: Span, answer: TokenOutput | SpeakerEmbeddings | EmotionOutput) -> None:
        """See `Aggregator`."""
        if isinstance(answer, TokenOutput):
            with self._lock:
                self._heard[index] = RecognizedSegment(span, answer)
        else:
            super().add(index, span, answer)
