"""The transcription pipeline as FunASR has it: its segments, its wishes, and everything that was heard in them."""

from __future__ import annotations

import dataclasses
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from overtone.assistants import Speech
from overtone.caller import Caller
from overtone.errors import OvertoneError, about
from overtone.fsmn.cutter import MergingCutter, SpeechCutter
from overtone.fsmn.options import VadOptions
from overtone.intake import Sent
from overtone.options import Options
from overtone.punctuation.punctuate import Punctuator
from overtone.runtime import Runtime
from overtone.segment import Cutter
from overtone.tasks.base import Task
from overtone.tasks.paraformer import ParaformerTask, ParaformerWish
from overtone.tasks.sense_voice import SenseVoiceWish
from overtone.transcribe import Transcriber
from overtone.transcribe_options import TranscribeOptions
from overtone.transcript.merge import Gathered, Gatherer
from overtone.transcript.words import Heard
from overtone.values import Output, Recognized, Samples, Span, Transcript, Voices
from overtone.way import Cutters, Way, Wishes


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
class HearingOptions(TranscribeOptions):
    """Options of the pipeline, and of one call of FunASR's."""

    call: Call = Call()

    @property
    def per_call(self) -> tuple[str, ...]:
        """See Options."""
        return ("call",)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Overheard(Transcript):
    """A transcript that is not told yet, but what it would be told of; nothing where there was an error."""

    gathered: Gathered | None = None


class Hearing(Transcriber):
    """A transcriber whose results are what was heard. Its options are `HearingOptions`."""

    @property
    def task(self) -> Task:
        """The recogniser's."""
        return self._task

    @property
    def punctuator(self) -> Punctuator | None:
        """The punctuation model, if there is one."""
        return None if self._marks is None else self._marks.punctuator

    def _way(self, started: Runtime, speech: Speech | None) -> Way[Gathered]:
        return _Way(started, self._task, speech)

    def _result(self, sent: Sent[Gathered], channel: int, name: str, key: str | None) -> Transcript:
        try:
            gathered = sent.tracks[channel].wait()
        except OvertoneError as error:
            raise about(error, name) from None
        blank = self._blank(name, key, sent, channel)
        known = {field.name: getattr(blank, field.name) for field in dataclasses.fields(blank)}
        return Overheard(**known, gathered=gathered)


_WHOLE = Options(segment="none", keep_silence=True)
"""Files that run whole are judged whatever their level, as in FunASR."""


class _Way:
    """See `overtone.way.Way`."""

    keeps_files = False

    def __init__(self, started: Runtime, task: Task, speech: Speech | None) -> None:
        self._runtime, self._task, self._speech = started, task, speech
        self._cutters = Cutters(started)
        networks = (started.network, *(unit.network for unit in started.more.values()))
        self.shortest = max(network.shortest for network in networks)
        self._voices = started.more.get("speakers")

    def cutter(self, options: Options, channels: int) -> Cutter:
        """See Way."""
        call = _call(options)
        if self._speech is None or call.vad is None:
            return self._cutters.make(_WHOLE, channels)
        stream, longest = self._speech.stream(), self._runtime.longest
        if call.merge_s is None:
            return SpeechCutter(stream, call.vad, longest=longest)
        return MergingCutter(stream, call.vad, longest=longest, merge_length_s=call.merge_s, hear_gaps=True)

    def merger(self, _: Options) -> Gatherer:
        """See Way."""
        return _Everything(speakers=self._voices is not None)

    def ask(self, wishes: Wishes, caller: Caller, samples: Samples) -> list[Future[Any]]:
        """See Way."""
        call = _call(wishes.options)
        wish = (
            ParaformerWish(call.hotwords)
            if isinstance(self._task, ParaformerTask)
            else SenseVoiceWish(call.language, call.itn, call.times)
        )
        answers = [self._runtime.engine.submit(samples, wish=wish, background=caller.background)]
        if self._voices is not None:
            answers.append(self._voices.engine.submit(samples, background=caller.background))
        return answers


def _call(options: Options) -> Call:
    assert isinstance(options, HearingOptions)
    return options.call


class _Everything(Gatherer):
    """A gatherer that keeps segments in which no words were heard too: their tags are part of FunASR's text."""

    def add(self, index: int, span: Span, answer: Recognized | Voices | Output) -> None:
        """See Merging."""
        if isinstance(answer, Recognized):
            with self._lock:
                self._heard[index] = Heard(span, answer)
        else:
            super().add(index, span, answer)
