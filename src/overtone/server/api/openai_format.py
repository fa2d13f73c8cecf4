"""Transcription as OpenAI's API has it: what its requests say, and its answers made of a transcript."""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from overtone.errors import Code, RefusedError
from overtone.models.hub import ALIASES
from overtone.output.records import SECOND_DIGITS, rounded
from overtone.pipelines.transcription import Transcriber
from overtone.results import Sentence, Transcript
from overtone.server.auth import Owner
from overtone.server.inference.models import supported_options
from overtone.server.inference.request import InferenceRequest
from overtone.server.uploads.form import SEPARATOR

Form = Literal["json", "text", "srt", "vtt", "verbose_json"]

FORMS: tuple[Form, ...] = ("json", "text", "srt", "vtt", "verbose_json")

TYPES: Mapping[Form, str] = {
    "json": "application/json",
    "text": "text/plain",
    "srt": "application/x-subrip",
    "vtt": "text/vtt",
    "verbose_json": "application/json",
}

NAMES = ("whisper-1",)
"""The names that clients call the model by default."""

LANGUAGES = {"zh": "chinese", "en": "english", "yue": "cantonese", "ja": "japanese", "ko": "korean"}
"""ISO 639 codes, and what OpenAI calls them in answers."""

GRANULARITIES = ("word", "segment")

FIELDS = (
    *("model", "language", "prompt", "response_format", "temperature", "timestamp_granularities[]", "keywords[]"),
    "stream",
)
"""Fields of a request beside the file."""

_Word = TypeVar("_Word", bound=str)

_LEAST_PROBABILITY = 1e-10


class ParameterError(RefusedError):
    """A parameter of a request that cannot be. param: its name, as OpenAI's errors say it."""

    default_code = Code.USAGE

    def __init__(
        self, message: str, *, code: str | None = None, retry_after_s: float | None = None, param: str | None = None
    ) -> None:
        super().__init__(message, code=code, retry_after_s=retry_after_s)
        self.param = param


@dataclass(frozen=True, slots=True)
class OpenAIParams:
    """A request. call: what it asks of the service. granularities: of `GRANULARITIES`. warnings: what was left out."""

    call: InferenceRequest
    form: Form
    granularities: frozenset[str]
    temperature: float
    warnings: tuple[str, ...] = ()

    @classmethod
    def of(cls, texts: Mapping[str, str], transcriber: Transcriber, owner: Owner | None) -> OpenAIParams:
        """From the fields of its form. ParameterError for one that there is not, or that cannot be."""
        if unknown := next((name for name in texts if name not in FIELDS), None):
            known = ", ".join(FIELDS)
            raise ParameterError(f"{unknown!r} is not taken here; there are: file, {known}.", param=unknown)
        _check_model(texts.get("model", NAMES[0]), transcriber)
        if texts.get("stream", "false").lower() != "false":
            raise ParameterError(
                "stream is not taken here: the whole answer comes at once. Speech while it is spoken is for "
                "WS /v1/stream, long files are for /v1/jobs.",
                param="stream",
            )
        form = _one_of("response_format", texts.get("response_format", "json"), FORMS)
        options, warnings = _options(texts, transcriber)
        call = InferenceRequest(options, False, owner, "transcribe", "word")
        return cls(call, form, _granularities(texts, form), _temperature(texts.get("temperature", "0")), warnings)


def _check_model(name: str, transcriber: Transcriber) -> None:
    own = transcriber.runtime.model.name
    same = {own, *ALIASES.get(own, {}).values(), *NAMES}
    same |= {alias for alias, ids in ALIASES.items() if own in ids.values()}
    if name not in same:
        raise ParameterError(
            f"there is no model {name!r} here; there is {own!r}, which {NAMES[0]!r} means too.",
            code=Code.UNKNOWN,
            param="model",
        )


def _options(texts: Mapping[str, str], transcriber: Transcriber) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The options that the recognizer takes, and a warning for each one that it does not."""
    options: dict[str, Any] = {"channels": "mix"}
    supported = supported_options(transcriber)
    warnings = []
    if language := texts.get("language", ""):
        if language not in LANGUAGES:
            raise ParameterError(
                f"language is {language!r}; it can be {', '.join(LANGUAGES)}, or left out.", param="language"
            )
        if "language" in supported:
            options["language"] = language
        else:
            warnings.append("language was left out: this recognizer knows only the language that it was made for.")
    words = [*texts.get("prompt", "").split(), *texts.get("keywords[]", "").split()]
    if words:
        if "hotwords" in supported:
            options["hotwords"] = " ".join(dict.fromkeys(words))
        else:
            warnings.append("prompt and keywords were left out: this recognizer listens for no words.")
    return options, tuple(warnings)


def _granularities(texts: Mapping[str, str], form: Form) -> frozenset[str]:
    name = "timestamp_granularities[]"
    if name not in texts:
        return frozenset({"segment"})
    if form != "verbose_json":
        raise ParameterError("timestamp_granularities takes response_format=verbose_json.", param=name)
    return frozenset(_one_of(name, text, GRANULARITIES) for text in texts[name].split(SEPARATOR))


def _temperature(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= 1:
        raise ParameterError(f"temperature is {text!r}; it is a number from 0 to 1.", param="temperature")
    return value


def _one_of(name: str, text: str, words: tuple[_Word, ...]) -> _Word:
    found = next((word for word in words if word == text), None)
    if found is None:
        raise ParameterError(f"{name} is {text!r}; it can be {', '.join(words)}.", param=name)
    return found


def body_of(told: Transcript, asked: OpenAIParams) -> str:
    """The answer's body, but for subtitles, which `record_formats.convert_records` makes."""
    if asked.form == "text":
        return f"{told.text}\n"
    if asked.form == "json":
        return json.dumps({"text": told.text, "usage": _usage(told)}, ensure_ascii=False)
    return json.dumps(_verbose(told, asked), ensure_ascii=False)


def _usage(told: Transcript) -> dict[str, Any]:
    return {"type": "duration", "seconds": math.ceil(told.duration)}


def _verbose(told: Transcript, asked: OpenAIParams) -> dict[str, Any]:
    language = told.language or asked.call.options.get("language")
    body: dict[str, Any] = {
        "task": "transcribe",
        "language": LANGUAGES.get(language or "", "unknown"),
        "duration": rounded(told.duration, SECOND_DIGITS),
        "text": told.text,
    }
    if "segment" in asked.granularities:
        body["segments"] = [_segment(at, said, asked.temperature) for at, said in enumerate(told.sentences)]
    if "word" in asked.granularities:
        body["words"] = [word for said in told.sentences for word in _words(said)]
    if asked.warnings:
        body["warnings"] = list(asked.warnings)
    return body | {"usage": _usage(told)}


def _segment(at: int, said: Sentence, temperature: float) -> dict[str, Any]:
    """A segment with those of Whisper's numbers that there are, and its speaker and mood, where they are known."""
    confidence = _LEAST_PROBABILITY if said.confidence is None else max(said.confidence, _LEAST_PROBABILITY)
    written = said.text.encode()
    body: dict[str, Any] = {
        "id": at,
        "seek": 0,
        "start": said.start,
        "end": said.end,
        "text": said.text,
        "tokens": [],
        "temperature": temperature,
        "avg_logprob": round(math.log(confidence), 6),
        "compression_ratio": round(len(written) / len(zlib.compress(written)), 6),
        "no_speech_prob": 0.0,
    }
    if said.speaker is not None:
        body["speaker"] = said.speaker
    if said.emotion is not None:
        body["emotion"] = said.emotion.label
    return body


def _words(said: Sentence) -> list[dict[str, Any]]:
    """The words, with the times of their sentence where they have none."""
    return [
        {
            "word": word.text,
            "start": said.start if word.start is None else word.start,
            "end": said.end if word.end is None else word.end,
        }
        for word in said.words
    ]
