"""`CachedAnswer`: the answer to one request for one file, as it is kept and sent."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from overtone.options.emotion import Options
from overtone.output.records import expect_type, json_chunks, to_json
from overtone.results import EmotionResult, Result, Timings
from overtone.server.cache.result_cache import Outcome
from overtone.server.inference.request import InferenceRequest


@dataclass(frozen=True, slots=True)
class CachedAnswer:
    """The records of one file, each encoded, without its beginning up to the source's name, so that one answer serves
    all names.

    duration_s: seconds of audio. timings: of the work that was done for it, whenever that was.
    """

    records: tuple[bytes, ...]
    duration_s: float
    timings: Timings
    found: Outcome = "miss"

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
    def from_kept(cls, value: bytes, found: Outcome) -> CachedAnswer:
        """The answer that `kept` encoded. ValueError for anything else."""
        first, *records = value.split(b"\n")
        try:
            about = json.loads(first)
            duration_s, timings = about["duration_s"], Timings(**about["timings"])
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise ValueError(f"what was kept is no answer: {type(error).__name__}") from None
        if not (records and all(_is_seconds(each) for each in (duration_s, *_seconds_of(timings)))):
            raise ValueError("what was kept is no answer: it has no records, or no times")
        return cls(tuple(records), duration_s, timings, found)

    @classmethod
    def is_kept_form(cls, value: bytes) -> bool:
        """True if `from_kept` reads a value and each of its records is one: a JSON object without its beginning."""
        try:
            answer = cls.from_kept(value, "hit")
            return all(isinstance(json.loads(line), dict) for line in answer.lines(""))
        except (ValueError, RecursionError):
            return False


def _seconds_of(timings: Timings) -> Iterator[object]:
    """Every number among timings."""
    return (getattr(timings, each.name) for each in dataclasses.fields(timings) if each.name != "notes")


def _is_seconds(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < float("inf")


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
