"""Options of transcription, on top of those of every pipeline."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from overtone.errors import UsageError
from overtone.options.check import emotion_only, help_of, option
from overtone.options.emotion import INSIDE, Options
from overtone.wording import param

_TranscribeOptions = TypeVar("_TranscribeOptions", bound="TranscribeOptions")  # typing.Self needs Python 3.11

Language = Literal["auto", "zh", "en", "yue", "ja", "ko", "nospeech"]


@dataclass(frozen=True, slots=True)
class TranscribeOptions(Options):
    """Options of a transcriber: those of `Options` that are not for emotion alone, and these.

    Attributes
    ----------
    model
        The recognizer (SenseVoice or Paraformer): an alias, a hub id or a checkpoint folder.
    vad
        What finds speech: `silero`, which is inside the package, or an FSMN-VAD: `fsmn-vad`, a hub id or a folder.
        `none` cuts audio only where it is too long, by its level.
    punctuation
        A CT-Transformer (`ct-punc`, a hub id, a folder) for a recognizer that writes none; `none` leaves it out; `auto`
        takes `ct-punc` for a Paraformer and none for SenseVoice, which punctuates by itself.
    speakers
        Tell speakers apart, with `speaker_model`.
    speaker_model
        CAM++ model for speakers: `cam++`, a hub id or a folder.
    num_speakers
        Number of speakers, if it is known.
    emotion
        emotion2vec model (`tiny`, `plus-large`, ...) for the mood of each sentence; None takes a SenseVoice's own word.
    vad_device, punctuation_device
        Devices of these stages; None is the CPU, for which they are small enough.
    speaker_device, emotion_device
        Devices of these stages; None is `device`.
    language
        Language of all speech, for SenseVoice; `auto` lets it decide.
    itn
        Write numbers as figures, and punctuation (SenseVoice).
    hotwords
        Words to listen for, blanks between them (Paraformer with SeACo).
    max_segment
        Longest segment in seconds, FunASR's `max_single_segment_time`.
    merge_length_s
        Join stretches of speech that an FSMN-VAD finds up to this many seconds.
    max_end_silence_ms
        Silence that ends a stretch of speech, for an FSMN-VAD; None goes by FunASR's schedule, which
        docs/transcription.md shows.
    sentence_pause_s
        Seconds of a pause that ends a sentence, with or without a mark.

    Raises
    ------
    UsageError
        A value of another type or out of its range, two options at odds, or one for a stage that is left out.

    Examples
    --------
    >>> from overtone import TranscribeOptions
    >>> TranscribeOptions(model="paraformer-zh", speakers=True, num_speakers=2).num_speakers
    2
    """

    model: str = option("sensevoice", "The recognizer: sensevoice, paraformer-zh, a hub id, or a checkpoint folder.")
    vad: str = option(
        "silero",
        "What finds speech: silero (inside this package), fsmn-vad, a hub id, a folder; none: cut by level alone.",
    )
    punctuation: str = option(
        "auto", "auto, none, ct-punc, a hub id, or a folder. auto: ct-punc for a Paraformer; SenseVoice needs none."
    )
    speakers: bool = option(False, "Tell speakers apart.")
    speaker_model: str = option("cam++", "The CAM++ model for that: cam++, a hub id, or a folder.")
    num_speakers: int | None = option(None, "How many speakers there are. Default: found out.", range=(1, 100))
    emotion: str | None = option(
        None, "An emotion model (tiny, plus-large, ...) for each sentence's mood. Default: SenseVoice's own word."
    )
    vad_device: str | None = option(None, "Where an FSMN-VAD runs. Default: the CPU.")
    punctuation_device: str | None = option(None, "Where punctuation runs. Default: the CPU.")
    speaker_device: str | None = option(None, "Where the speaker model runs. Default: as --device.")
    emotion_device: str | None = option(None, "Where the emotion model runs. Default: as --device.")
    language: Language = option("auto", "Of the speech, for SenseVoice.")
    itn: bool = option(True, "Numbers as figures, and punctuation (SenseVoice).")
    hotwords: str = option("", "Words to listen for, blanks between them (Paraformer with SeACo).")
    merge_length_s: float | None = option(None, "Join stretches of speech that FSMN-VAD finds up to so many seconds.")
    max_end_silence_ms: int | None = option(
        None, "Silence that ends a stretch of speech, for FSMN-VAD.", range=(50, 6000)
    )
    sentence_pause_s: float = option(0.8, "Seconds of a pause that ends a sentence, besides marks.", range=(0.1, 3600))

    def __post_init__(self) -> None:
        Options.__post_init__(self)
        for name in emotion_only(Options):
            if getattr(self, name) != _DEFAULTS[name]:
                raise UsageError(f"{param(name)} is for emotion alone; leave it out for transcription.")
        if self.num_speakers is not None and not self.speakers:
            raise UsageError(f"{param('num_speakers')} takes {param('speakers', True)}, which tells speakers apart.")
        if self.merge_length_s is not None and not 1.0 <= self.merge_length_s <= self.max_segment:
            raise UsageError(
                f"{param('merge_length_s')} is {self.merge_length_s:g}; 1 to {self.max_segment:g} "
                f"({param('max_segment')}) is possible."
            )
        if self.merge_length_s is not None and self.vad in INSIDE:
            raise UsageError(f"{param('merge_length_s')} joins what FSMN-VAD finds; {_TAKE_FSMN}")
        if self.segment == "window":
            raise UsageError(f"{param('segment', 'window')} would cut words; take vad, or none to run files whole.")
        if self.max_end_silence_ms is not None and self.vad in INSIDE:
            raise UsageError(f"{param('max_end_silence_ms')} is for FSMN-VAD; {_TAKE_FSMN}")
        if self.whole and self.vad not in INSIDE:
            raise UsageError(
                f"{param('segment', 'none')} cuts nothing, so there is nothing to find with {param('vad')}; leave one "
                "out."
            )
        self._check_stages()

    def _check_stages(self) -> None:
        """UsageError for an option of a stage that is left out."""
        there = {
            "speaker_model": self.speakers,
            "speaker_device": self.speakers,
            "emotion_device": self.emotion is not None,
            "vad_device": self.vad not in INSIDE,
            "punctuation_device": self.punctuation != "none",
        }
        for name, stage in there.items():
            if not stage and getattr(self, name) != _OWN_DEFAULTS[name]:
                raise UsageError(f"{param(name)} is for a stage that is left out; leave it out too, or ask for both.")

    def _check_vad(self) -> None:
        """Any other name may be that of an FSMN-VAD."""

    def for_call(self: _TranscribeOptions, **changes: Any) -> _TranscribeOptions:
        """As for emotion; a speech detector that has to be loaded is settled when the others are."""
        vad = changes.get("vad", self.vad)
        if vad not in (self.vad, *INSIDE):
            raise UsageError(
                f"{param('vad', vad)} is settled when the models are loaded; a call may have {self.vad}, or "
                f"{' or '.join(name for name in INSIDE if name != self.vad)}."
            )
        return Options.for_call(self, **changes)

    @property
    def per_call(self) -> tuple[str, ...]:
        """Names of the options that a single call may change."""
        return TRANSCRIBE_PER_CALL

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """Names of the options there are to set: those for emotion alone left out."""
        return tuple(field.name for field in dataclasses.fields(cls) if not field.metadata.get("emotion_only"))


_TAKE_FSMN = f"take {param('vad', 'fsmn-vad')}, or leave it out."

_DEFAULTS = {field.name: field.default for field in dataclasses.fields(Options)}

_OWN_DEFAULTS = {field.name: field.default for field in dataclasses.fields(TranscribeOptions)}

TRANSCRIBE_PER_CALL = (
    "vad",
    "max_segment",
    "channels",
    "audio_track",
    "language",
    "itn",
    "hotwords",
    "num_speakers",
    "sentence_pause_s",
)
"""Options that need no other model, plan or thread, so that each call may have its own."""

TRANSCRIBE_HELP: Mapping[str, str] = {
    **help_of(TranscribeOptions),
    "segment": "vad: cut where speech pauses; none: run files whole.",
    "max_segment": "Longest segment, in seconds (FunASR's max_single_segment_time).",
}
"""One line for each option, shown by `--help`."""
