"""Transcripts as OpenAPI describes them, also in OpenAI's form."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from overtone.server.api.schemas import RecordError, Schema, Timings


class Word(Schema):
    """One word, or one character of a script without blanks; seconds, null where the model tells no times."""

    text: str
    start: float | None
    end: float | None
    confidence: float | None
    speaker: int | None = Field(None, description="The one whose voice is heard in it.")


class Mood(Schema):
    """The emotion of one sentence."""

    label: str
    score: float | None = None
    scores: dict[str, float | None] | None = None


class Sentence(Schema):
    """One sentence; seconds. What was not asked, or is not there, is left out."""

    start: float
    end: float
    text: str
    speaker: int | None = Field(None, description="0 for who speaks first.")
    emotion: Mood | None = None
    language: str | None = None
    event: str | None = None
    confidence: float | None
    words: list[Word] | None = None


class Transcription(Schema):
    """What is said in one file, or in one channel of it."""

    source: str
    id: str | None = None
    channel: int | None = None
    channels: int | None = None
    duration: float
    text: str | None = None
    language: str | None = None
    speakers: int | None = Field(None, description="How many were told apart.")
    sentences: list[Sentence] | None = None
    model: str
    models: dict[str, str] = Field(description="What else was used, by what it is for.")
    precision: str
    device: str
    backend: str | None
    timings: Timings
    warnings: list[str] | None = None
    error: RecordError | None


class OpenaiProblem(Schema):
    """What went wrong."""

    message: str
    type: str
    param: str | None
    code: str


class OpenaiError(Schema):
    """An error as OpenAI's clients read it. `code` is that of the other routes."""

    error: OpenaiProblem


class OpenaiSegment(Schema):
    """One sentence; seconds. What Whisper alone has is empty or zero."""

    id: int
    seek: int
    start: float
    end: float
    text: str
    tokens: list[int]
    temperature: float
    avg_logprob: float = Field(description="The logarithm of the sentence's confidence.")
    compression_ratio: float
    no_speech_prob: float
    speaker: int | None = None
    emotion: str | None = None


class OpenaiWord(Schema):
    """One word; seconds."""

    word: str
    start: float
    end: float


class OpenaiLogprob(Schema):
    """The logarithm of a word's confidence, which is the mean probability of its tokens."""

    token: str
    logprob: float
    bytes: list[int] = Field(description="Of the word, in UTF-8.")


class OpenaiSpokenSegment(Schema):
    """One sentence of `diarized_json`; seconds. Speakers are A, B and so on, as they begin to speak."""

    type: Literal["transcript.text.segment"]
    id: str
    start: float
    end: float
    text: str
    speaker: str


class OpenaiUsage(Schema):
    """Seconds of audio, rounded up."""

    type: Literal["duration"]
    seconds: int


class OpenaiTranscription(Schema):
    """`json` has the text and the usage, and `logprobs` where `include` asks for them; `verbose_json` the rest, as far
    as `timestamp_granularities` asks for it; `diarized_json` has segments with speakers."""

    text: str
    usage: OpenaiUsage
    task: Literal["transcribe"] | None = None
    language: str | None = None
    duration: float | None = None
    segments: list[OpenaiSegment] | list[OpenaiSpokenSegment] | None = None
    words: list[OpenaiWord] | None = None
    logprobs: list[OpenaiLogprob] | None = None
    warnings: list[str] | None = None
