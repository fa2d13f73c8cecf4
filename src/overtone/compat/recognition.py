"""Recognizers: SenseVoice and the Paraformers, alone or with FSMN-VAD, punctuation and speakers."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from overtone.compat import sentences
from overtone.compat.arguments import Arguments, whole_number
from overtone.compat.auxiliary import AUXILIARY, vad_and_options
from overtone.compat.hotwords import hotwords_of
from overtone.compat.inputs import named
from overtone.compat.raw_transcript import Call, RawOptions, RawTranscriber
from overtone.compat.segment_text import SegmentText, formatter_for
from overtone.compat.vad import PER_CALL as VAD_PER_CALL
from overtone.errors import UsageError
from overtone.merging.segment_outputs import SegmentOutputs
from overtone.merging.speakers.clustering import cluster
from overtone.merging.speakers.diarization import speakers_of, turns
from overtone.models.checkpoints import Checkpoint
from overtone.models.paraformer.hotwords import LONGEST
from overtone.models.paraformer.task import ParaformerTask
from overtone.models.sense_voice.task import LANGUAGES
from overtone.options import loading
from overtone.options.transcription import TranscribeOptions
from overtone.types import SAMPLE_RATE

Result = dict[str, Any]

_MODES = ("punc_segment", "vad_segment", "default")

_CALL = (
    "ban_emo_unk",
    "cache",
    "en_post_proc",
    "fs",
    "hotword",
    "is_final",
    "key",
    "language",
    "merge_length_s",
    "merge_vad",
    "output_timestamp",
    "preset_spk_num",
    "return_raw_text",
    "return_spk_center",
    "return_spk_res",
    "sentence_timestamp",
    "text_norm",
    "use_itn",
    *VAD_PER_CALL,
)
"""Arguments of a call. Given with the model, they are the defaults of its calls."""

_SENSE_VOICE = ("SenseVoiceSmall",)
_FOR: Mapping[str, tuple[str, ...]] = {
    "ban_emo_unk": _SENSE_VOICE,
    "hotword": ("SeacoParaformer",),
    "language": _SENSE_VOICE,
    "text_norm": _SENSE_VOICE,
    "use_itn": _SENSE_VOICE,
}
"""Those that some recognizers ignore, and the classes of those that do not."""

_NO_DEFAULT = ("cache", "key")
"""Those that FunASR heeds in a call only."""

_SETTLED: Mapping[str, Any] = {
    "channels": "mix",
    "language": "auto",
    "itn": True,
    "hotwords": "",
    "emotion": None,
    "num_speakers": None,
    "merge_length_s": None,
    "max_end_silence_ms": None,
}
"""Options that FunASR's arguments stand for; no setting of Overtone's own is to change what FunASR would say."""

_MERGED_S = 15.0
"""FunASR's `merge_length_s`."""


class RecognitionAdapter:
    """FunASR's calls for a recognizer and the models beside it. options: those that every pipeline has."""

    def __init__(
        self, checkpoint: Checkpoint, given: Mapping[str, Any], options: Mapping[str, Any], arguments: Arguments
    ) -> None:
        self._arguments = arguments
        self._known = tuple(name for name in _CALL if checkpoint.kind in _FOR.get(name, (checkpoint.kind,)))
        known = (*(name for name in self._known if name not in _NO_DEFAULT), *AUXILIARY, "spk_mode")
        given = arguments.heeded(given, "AutoModel", known, checkpoint=checkpoint)
        self._defaults = {name: value for name, value in given.items() if name in _CALL}
        self._mode = given.get("spk_mode") or "punc_segment"
        if self._mode not in _MODES:
            raise UsageError(f"spk_mode={self._mode!r} is not known; use {', '.join(_MODES)}.")
        max_segment_s = float(given.get("merge_length_s") or _MERGED_S)
        self._vad, auxiliary = vad_and_options(given, options["hub"], max_segment_s, arguments)
        made = loading.load(TranscribeOptions, model=str(checkpoint.folder), **_SETTLED, **options, **auxiliary)
        self._transcriber = RawTranscriber.with_options(RawOptions(**dataclasses.asdict(made)))
        self._formatter = formatter_for(self._transcriber.task)
        self._speakers = made.speakers
        self.folder: Path = checkpoint.folder

    def close(self) -> None:
        """Free the models."""
        self._transcriber.close()

    def generate(
        self, input: Any, progress: Callable[[int, int], None] | None, arguments: Mapping[str, Any]
    ) -> list[Result]:
        """One dictionary for each input: `key`, `text`, and all else that FunASR would give."""
        wanted = {**self._defaults, **self._arguments.heeded(arguments, "generate", self._known)}
        inputs = list(named(input, wanted.get("key"), wanted.get("fs", SAMPLE_RATE)))
        call = self._call(wanted)
        results: list[Result] = []
        for raw in self._transcriber.stream((source for _, source in inputs), call=call):
            if raw.error is not None:
                raise raw.error
            assert raw.outputs is not None
            key = inputs[len(results)][0]
            results.append({"key": key, **self._answer(raw.outputs, call, wanted)})
            if progress is not None:
                progress(len(results), len(inputs))
        return results

    def _call(self, wanted: Mapping[str, Any]) -> Call:
        """The settings that these arguments stand for in FunASR, each for the models that heed it."""
        vad, merge_s = None, None
        if self._vad is not None:
            vad = self._vad.for_call(wanted)
            if wanted.get("merge_vad"):
                # FunASR heeds merge_length_s only where it was given with the model.
                merge_s = float(wanted.get("merge_length_s") or _MERGED_S)
                if merge_s > self._transcriber.options.max_segment:
                    raise UsageError(
                        f"merge_length_s={merge_s:g} is longer than the segments that this model was loaded for; "
                        f"give AutoModel(merge_length_s={merge_s:g}) too."
                    )
        if isinstance(self._transcriber.task, ParaformerTask):
            times = self._times(wanted)
            hotwords = self._hotwords(wanted.get("hotword"))
            return Call(times=times, hotwords=hotwords, vad=vad, merge_s=merge_s)
        style = wanted.get("text_norm") or ("withitn" if wanted.get("use_itn") else "woitn")
        if style not in ("withitn", "woitn"):
            raise UsageError(f"text_norm={style!r} is not known; use 'withitn' or 'woitn'.")
        # FunASR takes a language that it does not know for 'auto'.
        language = wanted.get("language", "auto")
        language = language if language in LANGUAGES else "auto"
        return Call(
            language,
            style == "withitn",
            self._times(wanted),
            vad=vad,
            merge_s=merge_s,
            ban_emo_unk=bool(wanted.get("ban_emo_unk")),
        )

    def _hotwords(self, hotword: Any) -> tuple[str, ...]:
        """Hot words as `hotwords_of` reads them, without those that are too long, of which a warning says so."""
        words = hotwords_of(hotword)
        if too_long := [word for word in words if len(word) > LONGEST]:
            self._arguments.warn(
                "hotword",
                f"generate(hotword=…): {too_long[0][:LONGEST]!r}… has more than {LONGEST} characters; "
                "hot words as long as that are left out.",
            )
        return tuple(word for word in words if len(word) <= LONGEST)

    def _times(self, wanted: Mapping[str, Any]) -> bool:
        asked = wanted.get("output_timestamp")
        task = self._transcriber.task
        if asked and isinstance(task, ParaformerTask) and "times" not in task.graphs:
            raise UsageError("output_timestamp: this Paraformer tells no times; paraformer-zh does.")
        return self._speakers if asked is None else bool(asked)

    def _answer(self, outputs: SegmentOutputs, call: Call, wanted: Mapping[str, Any]) -> Result:
        segments = [self._formatter.format(segment, times=call.times) for segment in outputs.recognized]
        if call.vad is None:
            return self._whole(segments[0], wanted)
        if not segments:
            return {"text": "", "timestamp": []}
        # FunASR gives a text that is blank no result at all, and where a Paraformer hears nothing in one segment it
        # gives no text for any of them; here they have what was heard.
        result = {"text": " ".join(segment.text for segment in segments if segment.text), **self._parts(segments)}
        if not result["text"].strip():
            return {"text": "", "timestamp": []}
        return result | self._punctuated(segments, outputs, wanted, result["text"])

    def _parts(self, segments: Sequence[SegmentText]) -> Result:
        timed = [segment for segment in segments if segment.times is not None]
        parts: Result = {}
        if timed:
            parts["timestamp"] = [list(span) for segment in timed for span in segment.times or []]
            if self._formatter.gives_words:
                parts["words"] = [word for segment in timed for word in segment.words or []]
        return parts

    def _whole(self, segment: SegmentText, wanted: Mapping[str, Any]) -> Result:
        """A file without VAD. Punctuation is given all of the text then, SenseVoice's tags too, as in FunASR."""
        result: Result = {"text": segment.text, **self._parts([segment])}
        if self._transcriber.punctuator is not None:
            if wanted.get("return_raw_text"):
                result["raw_text"] = segment.text
            result["text"] = self._transcriber.punctuator.punctuate(segment.text).text
        return result

    def _punctuated(
        self, segments: Sequence[SegmentText], outputs: SegmentOutputs, wanted: Mapping[str, Any], text: str
    ) -> Result:
        """The fields of punctuation, sentences and speakers."""
        more: Result = {}
        punctuated = None
        if self._transcriber.punctuator is not None:
            before = sentences.joined([segment.text for segment in segments])
            punctuated = sentences.PunctuatedText.of(before, self._transcriber.punctuator)
            if wanted.get("return_raw_text"):
                more["raw_text"] = text
            words = self._formatter.gives_words and any(segment.words for segment in segments)
            more["text"] = (words and punctuated.surface()) or punctuated.text
        if outputs.windows is not None and wanted.get("return_spk_res", True):
            return more | self._with_speakers(segments, outputs, wanted, punctuated)
        if wanted.get("sentence_timestamp"):
            more["sentence_info"] = self._sentences(segments, wanted, punctuated, more.get("text", text))
        return more

    def _sentences(
        self,
        segments: Sequence[SegmentText],
        wanted: Mapping[str, Any],
        punctuated: sentences.PunctuatedText | None,
        text: str,
    ) -> list[Result]:
        if not text.strip():
            return []
        if punctuated is None:
            # With times and without punctuation FunASR gives none.
            return [] if any(segment.times for segment in segments) else sentences.by_segments(segments)
        return self._by_punctuation(segments, wanted, punctuated) or sentences.by_segments(segments)

    def _by_punctuation(
        self, segments: Sequence[SegmentText], wanted: Mapping[str, Any], punctuated: sentences.PunctuatedText
    ) -> list[Result] | None:
        by = sentences.by_pieces if self._formatter.gives_words else sentences.by_words
        english, raw = bool(wanted.get("en_post_proc")), bool(wanted.get("return_raw_text"))
        return by(punctuated, segments, english=english, raw=raw)

    def _with_speakers(
        self,
        segments: Sequence[SegmentText],
        outputs: SegmentOutputs,
        wanted: Mapping[str, Any],
        punctuated: sentences.PunctuatedText | None,
    ) -> Result:
        """Sentences and their speakers. Where FunASR cannot tell sentences it goes over to segments for this call and
        all that follow, or gives a list of words for a text; here it is segments for this call."""
        assert outputs.windows is not None
        assert outputs.embeddings is not None
        found = None
        if self._mode != "vad_segment" and punctuated is not None:
            found = self._by_punctuation(segments, wanted, punctuated)
        found = found or sentences.by_vad_segment(segments)
        count = wanted.get("preset_spk_num")
        if count is not None:
            whole_number("preset_spk_num", count, minimum=1)
        labels = cluster(outputs.embeddings, count)
        spans = [(sentence["start"], sentence["end"]) for sentence in found]
        for sentence, speaker in zip(found, speakers_of(spans, turns(outputs.windows, labels)), strict=True):
            sentence["spk"] = speaker
        result: Result = {"sentence_info": found}
        if wanted.get("return_spk_center"):
            own = (outputs.embeddings[labels == voice] for voice in range(int(labels.max()) + 1))
            result["spk_embedding_center"] = np.stack([embeddings.mean(0) for embeddings in own])
        return result
