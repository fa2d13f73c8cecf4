"""Transcription as OpenAI's API has it: what its requests ask for."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from overtone.errors import Code, RefusedError, UsageError
from overtone.models.hub import ALIASES
from overtone.models.paraformer.hotwords import LONGEST, MOST
from overtone.pipelines.transcription import Transcriber
from overtone.server.api.openai_chunking import CHUNKING, chunking_warnings
from overtone.server.api.params import boolean
from overtone.server.auth import Owner
from overtone.server.inference.models import supported_options
from overtone.server.inference.request import InferenceRequest
from overtone.server.uploads.form import CLIPPED_BYTES, PROMPT, REFERENCES, SEPARATOR

Form = Literal["json", "text", "srt", "vtt", "verbose_json", "diarized_json"]

FORMS: tuple[Form, ...] = ("json", "text", "srt", "vtt", "verbose_json", "diarized_json")

TYPES: Mapping[Form, str] = {
    "json": "application/json",
    "text": "text/plain",
    "srt": "application/x-subrip",
    "vtt": "text/vtt",
    "verbose_json": "application/json",
    "diarized_json": "application/json",
}

STREAMED: tuple[Form, ...] = ("json", "text", "diarized_json")
"""Forms whose text can come as it becomes known."""

NAMES = ("whisper-1",)
"""The names that clients call the model by default."""

LANGUAGES = {"zh": "chinese", "en": "english", "yue": "cantonese", "ja": "japanese", "ko": "korean"}
"""ISO 639 codes, and what OpenAI calls them in answers."""

GRANULARITIES = ("word", "segment")

INCLUDES = ("logprobs",)

_UNFOLLOWED: Mapping[str, str] = {
    "languages[]": "languages was left out: say one as language, or let it be found out.",
    "known_speaker_names[]": "known_speaker_names was left out: speakers are A, B and so on, as they begin to speak.",
    REFERENCES: "known_speaker_references was left out: no voice is compared with another file's.",
}
"""Fields that are taken and change nothing, and what their sender is warned of."""

FIELDS = (
    *("model", "language", PROMPT, "response_format", "temperature", "timestamp_granularities[]", "keywords[]"),
    *("stream", "include[]", *CHUNKING, *_UNFOLLOWED),
)
"""Fields of a request beside the file."""

_Word = TypeVar("_Word", bound=str)


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
    """A request. call: what it asks of the service. granularities: of `GRANULARITIES`. stream: the text comes as
    events, as it becomes known. logprobs: those of words go along. warnings: what was left out."""

    call: InferenceRequest
    form: Form
    granularities: frozenset[str]
    temperature: float
    stream: bool = False
    logprobs: bool = False
    warnings: tuple[str, ...] = ()

    @classmethod
    def of(cls, texts: Mapping[str, str], transcriber: Transcriber, owner: Owner | None) -> OpenAIParams:
        """From the fields of its form. ParameterError for one that there is not, or that cannot be."""
        if unknown := next((name for name in texts if name not in FIELDS), None):
            known = ", ".join(FIELDS)
            raise ParameterError(f"{unknown!r} is not taken here; there are: file, {known}.", param=unknown)
        _check_model(texts.get("model", NAMES[0]), transcriber)
        form = _form(texts.get("response_format", "json"), transcriber)
        stream = _stream(texts.get("stream", "false"), form)
        options, warnings = _options(texts, transcriber)
        logprobs, more = _logprobs(texts, form)
        try:
            warnings += more + chunking_warnings(texts, cut=not transcriber.options.whole)
        except UsageError as error:
            raise ParameterError(error.template, param="chunking_strategy") from None
        warnings += [text for name, text in _UNFOLLOWED.items() if texts.get(name)]
        return cls(
            InferenceRequest(options, False, owner, "transcribe", "word"),
            form,
            _granularities(texts, form),
            _temperature(texts.get("temperature", "0")),
            stream,
            logprobs,
            tuple(warnings),
        )


def names_of(transcriber: Transcriber) -> tuple[str, ...]:
    """The names by which requests may call a transcriber."""
    own = transcriber.runtime.model.name
    same = {own: None, **dict.fromkeys(ALIASES.get(own, {}).values()), **dict.fromkeys(NAMES)}
    return tuple(same | {alias: None for alias, ids in ALIASES.items() if own in ids.values()})


def _check_model(name: str, transcriber: Transcriber) -> None:
    if name not in names_of(transcriber):
        own = transcriber.runtime.model.name
        raise ParameterError(
            f"there is no model {name!r} here; there is {own!r}, which {NAMES[0]!r} means too.",
            code=Code.UNKNOWN,
            param="model",
        )


def _form(text: str, transcriber: Transcriber) -> Form:
    form = _one_of("response_format", text, FORMS)
    if form == "diarized_json" and not transcriber.options.speakers:
        raise ParameterError(
            "response_format=diarized_json takes a service that tells speakers apart; start it with "
            "OVERTONE_SPEAKERS=1, or take verbose_json.",
            param="response_format",
        )
    return form


def _stream(text: str, form: Form) -> bool:
    try:
        stream = boolean("stream", text)
    except UsageError as error:
        raise ParameterError(error.template, param="stream") from None
    if stream and form not in STREAMED:
        raise ParameterError(
            f"stream takes response_format={', '.join(STREAMED[:-1])} or {STREAMED[-1]}; {form} comes as a whole.",
            param="stream",
        )
    return stream


def _options(texts: Mapping[str, str], transcriber: Transcriber) -> tuple[dict[str, Any], list[str]]:
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
    words = [*texts.get(PROMPT, "").split(), *texts.get("keywords[]", "").split()]
    if words and "hotwords" not in supported:
        warnings.append("prompt and keywords were left out: this recognizer listens for no words.")
    elif words:
        heard, left_out = _hotwords(words)
        options["hotwords"] = " ".join(heard)
        if left_out:
            warnings.append(
                f"{left_out} of the words of prompt and keywords were left out: up to {MOST} words of up to {LONGEST} "
                "letters are listened for."
            )
        if len(texts.get(PROMPT, "").encode()) >= CLIPPED_BYTES[PROMPT] - 3:
            warnings.append(f"prompt was cut at {CLIPPED_BYTES[PROMPT]} bytes.")
    return options, warnings


def _hotwords(words: Iterable[str]) -> tuple[list[str], int]:
    """Words to listen for, each once and without the marks around it, and how many of a text are none."""
    bare = dict.fromkeys(_bare(word) for word in words)
    fit = [word for word in bare if word and len(word) <= LONGEST]
    return fit[:MOST], len(bare) - len(fit[:MOST])


def _bare(word: str) -> str:
    """A word without punctuation before and after it."""
    kept = [at for at, letter in enumerate(word) if unicodedata.category(letter)[0] not in "PC"]
    return word[kept[0] : kept[-1] + 1] if kept else ""


def _logprobs(texts: Mapping[str, str], form: Form) -> tuple[bool, list[str]]:
    """True if probabilities of words go along, and a warning where they were asked for and do not."""
    name = "include[]"
    if name not in texts:
        return False, []
    for text in texts[name].split(SEPARATOR):
        _one_of(name, text, INCLUDES)
    if form == "json":
        return True, []
    return False, ["include was left out: logprobs go with response_format=json alone."]


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
