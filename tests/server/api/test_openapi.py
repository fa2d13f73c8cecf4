"""What the service says of itself in `/openapi.json` is how it answers, whatever it is asked."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import negative_data_rejection, positive_data_acceptance
from schemathesis.core.failures import AcceptedNegativeData, Failure, FailureGroup

from helpers.audio_files import encoded, voice
from helpers.server.running import Running
from helpers.server.sounds import clip
from helpers.server.transcribing import transcribing
from overtone.server.api.openai_params import FORMS

REQUESTS = 40
"""Of each operation, as it is described; and as many that are not."""

FILES = st.sampled_from(
    [
        clip(1, 0.5),
        clip(2, 1.2),
        encoded(voice(0.5, channels=2), 16_000, "flac", "flac"),
        encoded(voice(0.5), 16_000, "mp3", "mp3"),
        clip(3, 0.5)[:200],
        clip(4, 0.01),
        b"",
        b"no audio at all",
    ]
)

schemathesis.openapi.media_type("application/octet-stream", FILES)
schemathesis.openapi.format("binary", FILES)

OPERATIONS = [
    "POST /v1/emotion",
    "POST /v1/embeddings",
    "POST /v1/transcribe",
    "POST /v1/audio/transcriptions",
    "POST /v1/audio/translations",
    "POST /v1/jobs",
    "GET /v1/jobs",
    "POST /v1/jobs/{id}/retry",
    "GET /v1/jobs/{id}",
    "DELETE /v1/jobs/{id}",
    "GET /v1/jobs/{id}/events",
    "GET /v1/jobs/{id}/result",
    "GET /healthz",
    "GET /readyz",
    "GET /metrics",
    "GET /v1/models",
    "GET /v1/models/{model}",
    "GET /v1/plan",
]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with transcribing(tmp_path_factory.mktemp("service")) as running:
        yield running


@pytest.fixture(scope="module")
def operations(service: Running) -> dict[str, Any]:
    schema = schemathesis.openapi.from_url(f"{service.url}/openapi.json")
    found = (operation.ok() for operation in schema.get_all_operations())
    return {operation.label: operation for operation in found}


def test_all_operations_are_asked(operations: dict[str, Any]) -> None:
    assert sorted(operations) == sorted(OPERATIONS)


ALWAYS = {
    label for label in OPERATIONS if label.startswith("GET ") and not label.endswith(("/plan", "/result", "/jobs"))
}
"""What is asked of these cannot be other than it is described: they have no parameters, or an id, which any text is."""

OF_AN_ID = {"DELETE /v1/jobs/{id}", "POST /v1/jobs/{id}/retry"}

ASKED = [
    (label, mode)
    for label in OPERATIONS
    for mode in GenerationMode
    if mode is GenerationMode.POSITIVE or label not in {*ALWAYS, *OF_AN_ID, "POST /v1/audio/translations"}
]


def is_text_in_a_form(failure: Failure) -> bool:
    """True where what was to be refused is a value of a form that is no text: on its way it becomes one."""
    if not isinstance(failure, AcceptedNegativeData):
        return False
    violations = re.findall(r"violates .*", failure.message)
    return bool(violations) and all("`type`" in one and "(was string, " in one for one in violations)


@pytest.mark.slow
@pytest.mark.parametrize(("label", "mode"), ASKED)
def test_any_request_is_answered_as_it_is_described(
    operations: dict[str, Any], label: str, mode: GenerationMode
) -> None:
    # What fits its description may still be a file without sound, or a model that is not served.
    unchecked = [positive_data_acceptance]
    if label == "POST /v1/jobs":
        unchecked.append(negative_data_rejection)  # any text is a file, whose record will say that it is no audio

    @given(case=operations[label].as_strategy(generation_mode=mode))
    @settings(
        max_examples=REQUESTS,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def ask(case: Any) -> None:
        try:
            case.call_and_validate(excluded_checks=unchecked)
        except FailureGroup as found:
            if not all(is_text_in_a_form(failure) for failure in found.exceptions):
                raise

    ask()


def test_good_answers_are_as_they_are_described(service: Running, operations: dict[str, Any]) -> None:
    """Of those that are made of random parts few are good, and none has all there can be in it."""

    def check(label: str, answer: httpx.Response, status: int = 200) -> httpx.Response:
        assert answer.status_code == status, answer.text
        answer.request.read()
        operations[label].validate_response(answer)
        return answer

    file, stereo = clip(5, 2.0), encoded(voice(1.0, channels=2), 16_000, "flac", "flac")
    for options in (
        {},
        {"granularity": "frame"},
        {"granularity": "utterance", "embeddings": "true"},
        {"keep_silence": "true", "labels": "published", "segment": "window", "window": "1", "hop": "0.5"},
    ):
        check("POST /v1/emotion", service.http.post("/v1/emotion", files={"file": file}, params=options))
    check("POST /v1/emotion", service.http.post("/v1/emotion", files={"file": stereo}, params={"channels": "split"}))
    for form in ("json", "npz"):
        options = {"format": form, "granularity": "frame"}
        check("POST /v1/embeddings", service.http.post("/v1/embeddings", files={"file": file}, params=options))
    for options in ({}, {"detail": "text"}, {"detail": "sentence", "language": "ja", "itn": "false"}):
        check("POST /v1/transcribe", service.http.post("/v1/transcribe", files={"file": file}, params=options))
    for form in FORMS:
        if form == "diarized_json":
            continue  # it takes a service that tells speakers apart
        asked = {"response_format": form, "temperature": "0.5"}
        if form == "verbose_json":
            asked["timestamp_granularities[]"] = ["word", "segment"]
        if form == "json":
            asked |= {"include[]": "logprobs", "chunking_strategy[type]": "server_vad", "prompt": "none"}
        answer = service.http.post("/v1/audio/transcriptions", files={"file": file}, data=asked)
        check("POST /v1/audio/transcriptions", answer)
    streamed = service.http.post("/v1/audio/transcriptions", files={"file": file}, data={"stream": "true"})
    check("POST /v1/audio/transcriptions", streamed)
    wrong = service.http.post("/v1/audio/transcriptions", files={"file": file}, data={"model": "other"})
    check("POST /v1/audio/transcriptions", wrong, 404)
    check("POST /v1/audio/translations", service.http.post("/v1/audio/translations", files={"file": file}), 400)
    job = check("POST /v1/jobs", service.http.post("/v1/jobs", files=[("file", file), ("file", b"none")]), 202).json()
    at = job["links"]["self"]
    check("GET /v1/jobs/{id}", service.http.get(at))
    check("GET /v1/jobs/{id}/events", service.http.get(f"{at}/events"))  # until it is finished
    check("GET /v1/jobs/{id}", service.http.get(at))
    for form in ("jsonl", "parquet", "csv"):
        check("GET /v1/jobs/{id}/result", service.http.get(f"{at}/result", params={"format": form}))
    for form in ("srt", "vtt", "txt"):
        check("GET /v1/jobs/{id}/result", service.http.get(f"{at}/result", params={"format": form, "file": 0}))
    check("GET /v1/models", service.http.get("/v1/models"))
    check("GET /v1/models/{model}", service.http.get("/v1/models/whisper-1"))
    check("GET /v1/models/{model}", service.http.get("/v1/models/a/b"), 404)
    check("DELETE /v1/jobs/{id}", service.http.delete(at), 204)
    check("GET /v1/jobs/{id}/result", service.http.get(f"{at}/result"), 404)
    check("GET /v1/plan", service.http.get("/v1/plan", params={"seconds": 1e4}))
    service.do(service.server.service.draining.set)
    try:
        check("GET /readyz", service.http.get("/readyz"), 503)
        check("GET /v1/plan", service.http.get("/v1/plan", params={"seconds": 1}), 503)
        check("POST /v1/emotion", service.http.post("/v1/emotion", files={"file": file}), 503)
    finally:
        service.do(service.server.service.draining.clear)
