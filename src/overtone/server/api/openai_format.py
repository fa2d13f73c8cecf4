"""Transcription as OpenAI's API has it: answers made of a transcript."""

from __future__ import annotations

import json
import math
import string
import zlib
from collections.abc import Iterator
from typing import Any

from overtone.output.record_reader import parse_record
from overtone.output.records import SECOND_DIGITS, expect_type, rounded
from overtone.results import Sentence, Transcript
from overtone.server.api.openai_params import LANGUAGES, OpenAIParams

_LEAST_PROBABILITY = 1e-10

_NO_SPEAKER = "unknown"
"""The speaker of a sentence in which no voice was found; OpenAI's clients want a text."""

_MARKS = ("speaker", "emotion", "event")
"""Fields of a sentence that subtitles show beside its text."""


def body_of(told: Transcript, asked: OpenAIParams) -> str:
    """The answer's body, but for subtitles, which `record_formats.convert_records` makes."""
    if asked.form == "text":
        return f"{told.text}\n"
    if asked.form == "json":
        return json.dumps(_plain(told, asked), ensure_ascii=False)
    return json.dumps((_verbose if asked.form == "verbose_json" else _diarized)(told, asked), ensure_ascii=False)


def transcript_of(line: bytes) -> Transcript:
    """The transcript that a record, one line of JSON, is of."""
    return expect_type(parse_record(json.loads(line)), Transcript)


def without_marks(line: bytes) -> bytes:
    """A record of a transcript, one line of JSON, without what subtitles would show beside its text."""
    record = json.loads(line)
    for sentence in record["sentences"]:
        for name in _MARKS:
            sentence.pop(name, None)
    return json.dumps(record, ensure_ascii=False).encode()


def done_event(told: Transcript, asked: OpenAIParams) -> dict[str, Any]:
    """The last event of a streamed answer, which has all of the text."""
    return {"type": "transcript.text.done", **_plain(told, asked)}


def segment_events(told: Transcript) -> Iterator[dict[str, Any]]:
    """An event for each sentence with its speaker, as `diarized_json` has them: A for who speaks first."""
    for at, said in enumerate(told.sentences):
        speaker = _NO_SPEAKER if said.speaker is None else _letters(said.speaker)
        event = {"type": "transcript.text.segment", "id": f"seg_{at}", "start": said.start, "end": said.end}
        yield event | {"text": said.text, "speaker": speaker}


def _letters(speaker: int) -> str:
    """A speaker's name: A to Z, then AA, as columns of a table are counted."""
    name = ""
    while speaker >= 0:
        speaker, letter = divmod(speaker, len(string.ascii_uppercase))
        name, speaker = string.ascii_uppercase[letter] + name, speaker - 1
    return name


def _plain(told: Transcript, asked: OpenAIParams) -> dict[str, Any]:
    body: dict[str, Any] = {"text": told.text}
    if asked.logprobs:
        body["logprobs"] = [logprob for said in told.sentences for logprob in _logprobs(said)]
    return _ended(body, told, asked)


def _diarized(told: Transcript, asked: OpenAIParams) -> dict[str, Any]:
    body = {"task": "transcribe", "duration": rounded(told.duration, SECOND_DIGITS), "text": told.text}
    return _ended(body | {"segments": list(segment_events(told))}, told, asked)


def _ended(body: dict[str, Any], told: Transcript, asked: OpenAIParams) -> dict[str, Any]:
    """A body with the fields that every one ends with."""
    if warnings := [*asked.warnings, *told.warnings]:
        body["warnings"] = warnings
    return body | {"usage": _usage(told)}


def _logprobs(said: Sentence) -> Iterator[dict[str, Any]]:
    """The logarithm of each word's confidence, which is the mean probability of its tokens."""
    for word in said.words:
        if word.confidence is not None:
            yield {"token": word.text, "logprob": _log(word.confidence), "bytes": list(word.text.encode())}


def _log(probability: float) -> float:
    return round(math.log(max(probability, _LEAST_PROBABILITY)), 6)


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
    return _ended(body, told, asked)


def _segment(at: int, said: Sentence, temperature: float) -> dict[str, Any]:
    """A segment with those of Whisper's numbers that there are, and its speaker and mood, where they are known."""
    written = said.text.encode()
    body: dict[str, Any] = {
        "id": at,
        "seek": 0,
        "start": said.start,
        "end": said.end,
        "text": said.text,
        "tokens": [],
        "temperature": temperature,
        "avg_logprob": _log(said.confidence or 0.0),
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
