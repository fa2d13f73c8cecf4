"""The transcription pipeline: sources in, `Transcript`s out."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import TYPE_CHECKING, Any

from overtone.errors import OvertoneError, UsageError
from overtone.merging.partial_text import PartialText
from overtone.merging.segment_outputs import SegmentOutputs, TranscriptAggregator
from overtone.merging.sentence_emotion import SentenceEmotions
from overtone.merging.transcript import TranscriptBuilder
from overtone.models.registry import decode_params_for, vocabulary_of
from overtone.options import loading
from overtone.options.emotion import INSIDE, Options
from overtone.options.transcription import TranscribeOptions
from overtone.pipelines.emotion import EmotionRecognizer
from overtone.pipelines.ingest import SubmittedSource
from overtone.pipelines.recognition import RecognitionPipeline
from overtone.pipelines.request import CallOptions
from overtone.results import Transcript
from overtone.segmentation.fsmn.segmenter import FsmnSegmenter, MergingSegmenter
from overtone.segmentation.segmenters import Segmenter

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from typing_extensions import Unpack  # in `typing` from Python 3.11 on

    from overtone.audio import AudioLike
    from overtone.options.keywords import TranscribeCallKeywords, TranscribeKeywords
    from overtone.pipelines.ingest import Source
    from overtone.pipelines.request import RequestContext


class Transcriber(RecognitionPipeline[TranscribeOptions, Transcript]):
    """Recognizes the words in speech, who said them, and in what mood. Call it from as many threads as you like.

    Close it, or use it as a context manager, to free the models.

    Parameters
    ----------
    model
        The recognizer: `sensevoice`, `paraformer-zh`, a hub id or a checkpoint folder.
    **options
        Fields of `overtone.TranscribeOptions`, and `profile`, a file that `overtone tune` wrote: options given here
        win over it, and it wins over the environment.

    Raises
    ------
    UsageError
        For an option that does not exist or does not fit the models.
    ModelError
        For a checkpoint that is not found, cannot be downloaded, or is broken.
    DeviceError
        For a device that is not there.
    BudgetError
        If the memory given cannot hold the models.

    Examples
    --------
    >>> from overtone import Transcriber
    >>> with Transcriber("sensevoice", speakers=True, emotion="tiny", memory="4GiB") as transcriber:  # doctest: +SKIP
    ...     transcript = transcriber("meeting.m4a")
    """

    def __init__(self, model: str | None = None, **options: Unpack[TranscribeKeywords]) -> None:
        given: dict[str, Any] = {**options} if model is None else {"model": model, **options}
        self._start(loading.load(TranscribeOptions, **given))

    if TYPE_CHECKING:  # with the options that a call may have; each takes fewer than any pipeline might

        def __call__(  # type: ignore[override]
            self, source: AudioLike, *, envelope: bool = False, **options: Unpack[TranscribeCallKeywords]
        ) -> Transcript: ...

        def results_for(  # type: ignore[override]
            self,
            source: Source,
            ctx: RequestContext | None = None,
            *,
            envelope: bool = False,
            **options: Unpack[TranscribeCallKeywords],
        ) -> list[Transcript]: ...

        def stream(  # type: ignore[override]
            self, sources: Iterable[Source], *, envelope: bool = False, **options: Unpack[TranscribeCallKeywords]
        ) -> Iterator[Transcript]: ...

    def emotion(self, options: Options) -> EmotionRecognizer:
        """The emotion model as a recognizer in the same budget; it is closed with the transcriber.

        Parameters
        ----------
        options
            Options of that model, as they are made for an `EmotionRecognizer`.

        Raises
        ------
        UsageError
            If the transcriber was made without `emotion`.
        """
        if "emotion" not in self._runtime.auxiliary:
            raise UsageError("this transcriber has no emotion model; make it with emotion='tiny', or another.")
        return EmotionRecognizer.from_runtime(self._runtime.for_role("emotion", options))

    def partial_text(self) -> PartialText:
        """The text of a source while its segments are answered: hand it what `RequestContext.on_output` gets.

        Returns
        -------
        PartialText
            One for each source; its punctuation is computed beside that of the transcript.
        """
        return PartialText(
            vocabulary_of(self._task), None if self._punctuation is None else self._punctuation.punctuator
        )

    def make_segmenter(self, call: CallOptions[TranscribeOptions], channels: int) -> Segmenter:
        """A segmenter by the VAD there is."""
        options = call.options
        if self._vad is None or options.whole or options.vad in INSIDE:
            return self._segmenters.make(options, channels, cut_all=True)
        max_samples = options.longest_samples
        stream, vad_options = self._vad.stream(), self._vad.vad.options
        if options.merge_length_s is None:
            return FsmnSegmenter(stream, vad_options, longest=max_samples)
        return MergingSegmenter(stream, vad_options, longest=max_samples, merge_length_s=options.merge_length_s)

    def decode_params(self, options: TranscribeOptions) -> Hashable:
        """Parameters of the recognizer for a call with these options."""
        return decode_params_for(self.kind, options)

    def make_aggregator(self, call: CallOptions[TranscribeOptions]) -> TranscriptAggregator:
        """An aggregator of words, speakers and emotions."""
        emotions = None
        if self._emotion is not None and (head := self._emotion.task.head) is not None:
            emotions = SentenceEmotions(head, self._emotion.task.hop)
        return TranscriptAggregator(speakers=self._speakers is not None, emotions=emotions)

    def build_result(
        self, sent: SubmittedSource[TranscribeOptions, SegmentOutputs], channel: int, pooled: SegmentOutputs
    ) -> Transcript:
        """The transcript of one channel."""
        built = self._builder(sent.call.options).build(pooled)
        return Transcript(
            text=built.text,
            sentences=built.sentences,
            language=built.language,
            speakers=built.speakers,
            models=self.models_of(sent.call.options),
            warnings=sent.warnings,
            **self._channel_fields(sent, channel),
        )

    def _failed(self, error: OvertoneError, fields: Mapping[str, Any]) -> Transcript:
        return Transcript.failed(error, models=self.models, **fields)

    def _builder(self, options: TranscribeOptions) -> TranscriptBuilder:
        return TranscriptBuilder(
            vocabulary_of(self._task),
            None if self._punctuation is None else self._punctuation.punctuator,
            has_punctuation=self._has_punctuation and options.itn,
            speakers=options.num_speakers,
            sentence_pause_s=options.sentence_pause_s,
        )
