"""`InferenceRequest`: what one request wants of one file, and the answer as it is kept and sent."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar, get_type_hints

from overtone.errors import UsageError
from overtone.options.check import WORDS, flag, kinds_of
from overtone.options.emotion import Options
from overtone.output.records import DETAILS, Detail, Level, expect_type, json_chunks, to_json
from overtone.results import EmotionResult, Result, Timings
from overtone.server.auth import Owner
from overtone.server.inference.models import Task

_N = TypeVar("_N", int, float)

MOST_OVERLAP = 16
"""Of windows: 4 s every quarter of a second. A minute must not become hours of work."""

_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}

Found = Literal["hit", "shared", "miss"]
"""The origin of an answer: kept, being made for another request, or made for this one."""


@dataclass(frozen=True, slots=True)
class InferenceRequest:
    """One request for one file. options: those given, of those that a call of its task may set (`Options.per_call`).
    embedding: whether the record holds the vector. detail: how fine a transcript is."""

    options: Mapping[str, Any] = field(default_factory=dict)
    embedding: bool = False
    owner: Owner | None = None
    task: Task = "emotion"
    detail: Detail = "word"

    @property
    def cache_identity(self) -> Mapping[str, object]:
        """The values that an answer depends on, beside the audio and the models."""
        return {**self.options, "embedding": self.embedding, "task": self.task, "detail": self.detail}

    def detail_level(self, base: Options) -> Level:
        """The detail of its records. base: the options that hold where it says nothing."""
        return self.detail if self.task == "transcribe" else base.for_call(**self.options).granularity


def options_of(given: Mapping[str, str], base: Options) -> dict[str, Any]:
    """The options of a call from their text. UsageError for one that there is not, or a value that it cannot have."""
    made: dict[str, Any] = {}
    hints = get_type_hints(type(base)) if given else {}
    for name, text in given.items():
        if name not in base.per_call:
            raise UsageError(f"there is no option {name!r} of such a request; there are: {', '.join(base.per_call)}.")
        made[name] = _value(name, text, kinds_of(hints[name]))
    if (times := overlap_factor(base.for_call(**made))) > MOST_OVERLAP:
        raise UsageError(f"--hop is so short that all is heard {times:.0f} times; {MOST_OVERLAP} times are the most.")
    return made


def overlap_factor(options: Options) -> float:
    """The number of times that each second of a source is run: once, but where windows overlap."""
    if options.segment != "window" or options.hop is None:
        return 1.0
    return max(1.0, options.window / options.hop)


def work_s(options: Options, seconds: float, channels: int) -> float:
    """Seconds of audio that the model runs for so many of a source: windows may overlap, channels stand alone."""
    return seconds * overlap_factor(options) * (channels if options.channels == "split" else 1)


def _value(name: str, text: str, kinds: tuple[Any, ...]) -> Any:
    if bool in kinds:
        return boolean(flag(name), text)
    for kind in (int, float):
        if kind in kinds:
            return number(kind, flag(name), text, "a number of seconds" if kind is float else WORDS[kind])
    return text


def number(kind: Callable[[str], _N], name: str, text: str, wanted: str) -> _N:
    """The number that a parameter is. UsageError for a text that is none. wanted: a number of that kind, in words."""
    try:
        return kind(text)
    except ValueError:
        raise UsageError(f"{name} is {text!r}; it has to be {wanted}.") from None


def detail_of(text: str) -> Detail:
    """The detail of a transcript. UsageError for a word that is none of them."""
    found = next((detail for detail in DETAILS if detail == text), None)
    if found is None:
        raise UsageError(f"--detail is {text!r}; it can be {', '.join(DETAILS)}.")
    return found


def boolean(name: str, text: str) -> bool:
    """The truth value of a parameter. UsageError where it is neither true nor false."""
    if text.lower() not in _BOOLEANS:
        raise UsageError(f"{name} is {text!r}; it is true or false.")
    return _BOOLEANS[text.lower()]


@dataclass(frozen=True, slots=True)
class CachedAnswer:
    """The records of one file, each encoded, without its beginning up to the source's name, so that one answer serves
    all names.

    duration_s: seconds of audio. timings: of the work that was done for it, whenever that was.
    """

    records: tuple[bytes, ...]
    duration_s: float
    timings: Timings
    found: Found = "miss"

    def lines(self, source: str) -> Iterator[bytes]:
        """The records, of a file called `source`, each one line of JSON without its end."""
        head = _beginning(source).encode()
        for record in self.records:
            yield head + record

    def kept(self) -> bytes:
        """As a cache keeps it."""
        about = {"duration_s": self.duration_s, "timings": dataclasses.asdict(self.timings)}
        return b"\n".join([json.dumps(about).encode(), *self.records])

    @classmethod
    def from_kept(cls, value: bytes, found: Found) -> CachedAnswer:
        """The answer that `kept` encoded."""
        first, *records = value.split(b"\n")
        about = json.loads(first)
        return cls(tuple(records), about["duration_s"], Timings(**about["timings"]), found)


def _beginning(source: str) -> str:
    """The start of a record, up to the part that is the same for every name."""
    return '{"source": ' + to_json(source) + ", "


def answer_of(results: Sequence[Result], call: InferenceRequest, base: Options) -> CachedAnswer:
    """The answer that results make."""
    level = call.detail_level(base)
    records = []
    for result in results:
        text = "".join(json_chunks(result, level))
        text = text.removeprefix(_beginning(result.source))
        records.append((with_embedding(text, result) if call.embedding else text).encode())
    return CachedAnswer(tuple(records), results[0].duration, results[0].timings)


def with_embedding(text: str, result: Result) -> str:
    """A record with the vector at its end: float32, (dim,), in as few digits as tell it; null for silence."""
    embedding = expect_type(result, EmotionResult).embedding
    vector = None if embedding is None else [float(str(value)) for value in embedding]
    return text[:-1] + ', "embedding": ' + to_json(vector) + "}"
