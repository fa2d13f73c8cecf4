"""Answers of the service, as OpenAPI describes them. Answers are written elsewhere; tests hold them to this."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class Schema(BaseModel):
    """What all of them are: nothing else is in an answer."""

    model_config = ConfigDict(extra="forbid")


class Problem(Schema):
    """An error (RFC 9457). `code` is the same as on the command line; `request_id` finds it in the service's log."""

    type: str = "about:blank"
    title: str
    status: int
    code: str
    detail: str
    request_id: str


class Segment(Schema):
    """One entry of the timeline; seconds. `speech_s` is what is speech of it. `scores` is null for silence."""

    start: float
    end: float
    speech_s: float
    label: str | None
    score: float | None
    scores: dict[str, float | None] | None


class Pooled(Schema):
    """The emotion of the mean over all frames, as FunASR judges a whole file."""

    label: str
    score: float | None
    scores: dict[str, float | None] | None


class Frames(Schema):
    """A row of scores for each frame; `hop` and `starts` in seconds."""

    hop: float
    labels: list[str]
    starts: list[float]
    scores: list[list[float | None]] | None


class Timings(Schema):
    """Seconds spent on the work, stage by stage, whenever it was done."""

    decode_s: float
    cut_s: float
    wait_s: float
    run_s: float
    merge_s: float
    total_s: float
    notes: list[str] | None = None


class RecordError(Schema):
    """Why a file of a job has no answer."""

    code: str
    message: str


class Record(Schema):
    """The emotion of one file, or of one channel of it.

    `scores`: the mean of its segments', weighted by their `speech_s`. `shares`: of the speaking time, by the labels of
    segments. `speech_s`: seconds of speech.
    """

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "source": "call.wav",
                    "duration": 3.2,
                    "label": "neutral",
                    "score": 0.71,
                    "scores": {"angry": 0.2, "neutral": 0.71, "sad": 0.09},
                    "shares": {"angry": 0.0, "neutral": 1.0, "sad": 0.0},
                    "speech_s": 2.9,
                    "pooled": {
                        "label": "neutral",
                        "score": 0.71,
                        "scores": {"angry": 0.2, "neutral": 0.71, "sad": 0.09},
                    },
                    "segments": [
                        {
                            "start": 0.0,
                            "end": 3.2,
                            "speech_s": 2.9,
                            "label": "neutral",
                            "score": 0.71,
                            "scores": {"angry": 0.2, "neutral": 0.71, "sad": 0.09},
                        }
                    ],
                    "model": "tiny",
                    "precision": "fp32",
                    "device": "cpu",
                    "backend": "openvino",
                    "timings": {
                        "decode_s": 0.001,
                        "cut_s": 0.0,
                        "wait_s": 0.0,
                        "run_s": 0.006,
                        "merge_s": 0.0,
                        "total_s": 0.008,
                    },
                    "error": None,
                }
            ]
        },
    )

    source: str
    id: str | None = None
    channel: int | None = None
    channels: int | None = None
    duration: float
    label: str | None = None
    score: float | None = None
    scores: dict[str, float | None] | None = None
    shares: dict[str, float | None] | None = None
    speech_s: float | None = None
    pooled: Pooled | None = None
    segments: list[Segment] | None = None
    frames: Frames | None = None
    model: str
    precision: str
    device: str
    backend: str | None
    timings: Timings
    warnings: list[str] | None = None
    error: RecordError | None
    embedding: list[float] | None = None


class Vector(Schema):
    """The embedding of one file: the mean over all frames, null for silence."""

    source: str
    duration: float
    model: str
    dim: int
    embedding: list[float] | None


class ModelInfo(Schema):
    """A model that is served. `labels` and `dim` are those of an emotion model."""

    id: str
    task: Literal["emotion", "transcribe"]
    labels: list[str]
    dim: int
    precision: str
    device: str
    backend: str
    fingerprint: str
    longest_segment_s: float
    models: dict[str, str] = Field(description="What else it uses, by what that is for.")


class ListedModel(Schema):
    """A name that `model` may have, as OpenAI lists it."""

    id: str
    object: Literal["model"] = "model"
    created: int = Field(description="When the service was started, Unix time.")
    owned_by: str


class Models(Schema):
    """What is served; `object` and `data` say it as OpenAI does."""

    models: list[ModelInfo]
    object: Literal["list"] = "list"
    data: list[ListedModel]


class Readiness(Schema):
    """Whether requests are taken. `state`: starting, ready, restarting, failed, closed or draining."""

    ready: bool
    reason: str | None = Field(description="What is wrong: with the model, the jobs folder or the uploads folder.")
    state: str
    restarts: int
    cache: str = Field(description="`healthy`, or `in trouble`; answers come either way.")


class Health(Schema):
    """The process lives."""

    status: Literal["ok"]


class PlannedMemory(Schema):
    """Bytes."""

    budget_bytes: int
    planned_bytes: int
    resident_bytes: int
    batch_bytes: int = Field(description="What the largest batch of this request may take.")


class Plan(Schema):
    """What a request of so many seconds would cost now."""

    seconds: float
    admitted: bool
    reason: str | None = Field(description="Why it would be refused now.")
    retry_after_s: float | None
    wait_s: float = Field(description="Seconds until what is under way is answered.")
    run_s: float = Field(description="Seconds of the model's time.")
    rate: float = Field(description="Seconds of audio answered in a second while the model works.")
    queued_s: float = Field(description="Seconds of audio under way.")
    room_s: float = Field(description="Seconds of audio that may be under way.")
    memory: PlannedMemory


class JobFiles(Schema):
    """How many files of a job are in each state."""

    queued: int
    running: int
    done: int
    failed: int
    cancelled: int


class JobSeconds(Schema):
    """Seconds of audio, as far as files say how long they are."""

    done: float
    total: float


class JobFileInfo(Schema):
    """One file of a job. `retryable`: it failed, its audio is kept, and `POST /v1/jobs/{id}/retry` runs it again."""

    number: int
    name: str
    state: str
    claimed_s: float | None
    size_bytes: int
    retryable: bool


class JobInfo(Schema):
    """A job as it is now. Times are ISO 8601, UTC. `expires` is known once it is finished."""

    id: str
    state: Literal["queued", "running", "done", "failed", "cancelled"]
    made: str
    changed: str
    expires: str | None
    task: Literal["emotion", "transcribe"]
    options: dict[str, Any]
    files: JobFiles
    seconds: JobSeconds
    eta_s: float | None = Field(description="Seconds until it is finished; null where that is not known.")
    links: dict[str, str]


class JobList(Schema):
    """Jobs of one owner, the newest first."""

    jobs: list[JobInfo]
    next: str | None = Field(description="The cursor of those that are older; null where there are none.")


class JobDetail(JobInfo):
    """The same, with its files."""

    inputs: list[JobFileInfo]
