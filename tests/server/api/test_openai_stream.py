"""Transcripts as events, asked for with OpenAI's own client."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from helpers.clips import EXAMPLES
from helpers.oracles import ct_transformer
from helpers.server.running import Running
from helpers.server.sounds import clip, silence, speech
from helpers.server.transcribing import environment, transcribing
from helpers.waiting import until
from overtone.errors import ModelError
from overtone.server.api import openai_stream

CALL = (EXAMPLES / "call.mp3").read_bytes()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with transcribing(tmp_path_factory.mktemp("service"), cache="off") as running:
        yield running


@pytest.fixture(scope="module")
def client(service: Running) -> Iterator[openai.OpenAI]:
    with of(service) as made:
        yield made


def of(service: Running) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{service.url}/v1", api_key="none", max_retries=0)


def events(client: openai.OpenAI, file: bytes, **more: Any) -> list[Any]:
    given = {"model": "whisper-1", "file": ("a.wav", file), **more}
    return list(client.audio.transcriptions.create(stream=True, **given))


def deltas(found: list[Any]) -> list[str]:
    return [event.delta for event in found if event.type == "transcript.text.delta"]


def backend_of(service: Running) -> Any:
    return service.server.host.transcriber.runtime.engine.workers[0].backend


def left(service: Running) -> list[str]:
    return [path.name for path in service.server.spool.path.glob("upload-*")]


def test_deltas_make_the_text_that_comes_without_events(client: openai.OpenAI) -> None:
    long = speech(75.0)
    whole = client.audio.transcriptions.create(model="whisper-1", file=("a.wav", long))
    found = events(client, long)
    assert len(deltas(found)) > 3, "one for each segment"
    assert "".join(deltas(found)) == whole.text
    assert (found[-1].type, found[-1].text) == ("transcript.text.done", whole.text)
    assert found[-1].usage.seconds == whole.usage.seconds
    assert [event.type for event in found[:-1]] == ["transcript.text.delta"] * (len(found) - 1)


def test_an_answer_that_is_kept_comes_as_one_delta(tmp_path: Path) -> None:
    with transcribing(tmp_path) as service, of(service) as client:
        first, second = events(client, CALL), events(client, CALL)
        assert "".join(deltas(first)) == "".join(deltas(second)) == second[-1].text
        assert len(deltas(second)) == 1


def test_punctuated_text_comes_as_it_is_settled(tmp_path: Path) -> None:
    marks = ct_transformer.publish(tmp_path / "marks")
    with (
        environment(OVERTONE_PUNCTUATION=str(marks)),
        transcribing(tmp_path, recognizer="Paraformer", cache="off") as service,
        of(service) as client,
    ):
        long = speech(100.0)
        found = events(client, long)
        whole = client.audio.transcriptions.create(model="whisper-1", file=("a.wav", long))
        assert found[-1].text == whole.text == "".join(deltas(found))
        assert len(deltas(found)) > 1


def test_many_at_once_hear_their_own(client: openai.OpenAI) -> None:
    files = [speech(15.0 + at) for at in range(6)]
    with ThreadPoolExecutor(len(files)) as pool:
        found = list(pool.map(lambda file: events(client, file), files))
    for file, streamed in zip(files, found, strict=True):
        whole = client.audio.transcriptions.create(model="whisper-1", file=("a.wav", file))
        assert "".join(deltas(streamed)) == streamed[-1].text == whole.text


@contextmanager
def held_after_the_first(service: Running) -> Iterator[threading.Event]:
    """While the block runs, the model waits after its first batch until the event is set."""
    backend = backend_of(service)
    run, hold = backend.run, threading.Event()
    ran: list[int] = []

    def waiting(batch: Any) -> Any:
        if ran:
            assert hold.wait(20)
        ran.append(len(batch.waveforms))
        return run(batch)

    backend.run = waiting
    try:
        yield hold
    finally:
        hold.set()
        backend.run = run


def test_a_delta_comes_before_all_is_answered(service: Running) -> None:
    with held_after_the_first(service) as hold:
        request = {"files": {"file": ("a.wav", speech(75.0))}, "data": {"stream": "true"}}
        with service.http.stream("POST", "/v1/audio/transcriptions", **request) as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            lines = answer.iter_lines()
            first = json.loads(next(lines).removeprefix("data: "))
            assert first["type"] == "transcript.text.delta"
            assert not hold.is_set()
            hold.set()
            assert '"transcript.text.done"' in [line for line in lines if line][-1]


def test_a_client_that_goes_takes_its_work_along(service: Running) -> None:
    heard_s = service.server.host.transcriber.runtime.engine.stats.audio_s
    with held_after_the_first(service):
        request = {"files": {"file": ("a.wav", speech(300.0))}, "data": {"stream": "true"}}
        with service.http.stream("POST", "/v1/audio/transcriptions", **request) as answer:
            next(answer.iter_lines())
        until(lambda: not left(service), "its file is removed")
    until(lambda: not service.do(lambda: service.server.service.admission.queued_s), "its work has gone")
    assert service.server.host.transcriber.runtime.engine.stats.audio_s - heard_s < 250


def test_what_is_wrong_before_the_first_event_has_a_status(client: openai.OpenAI, service: Running) -> None:
    with pytest.raises(openai.BadRequestError) as told:
        events(client, b"no audio at all")
    assert told.value.code == "not_audio"
    with pytest.raises(openai.APIStatusError) as told:
        events(client, speech(1000.0))
    assert (told.value.status_code, told.value.code) == (413, "too_long")
    assert not left(service)


def test_what_goes_wrong_later_is_an_event_that_the_client_raises(client: openai.OpenAI, service: Running) -> None:
    backend = backend_of(service)
    run = backend.run
    ran: list[int] = []

    def failing(batch: Any) -> Any:
        if ran:
            raise ModelError("it has had enough")
        ran.append(1)
        return run(batch)

    backend.run = failing
    got: list[Any] = []
    try:
        with pytest.raises(openai.APIError) as told:
            for event in client.audio.transcriptions.create(
                model="whisper-1", file=("a.wav", speech(75.0)), stream=True
            ):
                got.append(event)  # noqa: PERF402 - what came before it failed
    finally:
        backend.run = run
    assert deltas(got)
    assert not isinstance(told.value, openai.APIStatusError)
    assert told.value.code == "model_failed"
    assert "cannot run on this audio" in told.value.message
    until(lambda: not left(service), "its upload is removed")


def test_what_must_not_be_said_of_a_fault_is_not(
    client: openai.OpenAI, service: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> Any:
        raise RuntimeError("/etc/secret")

    monkeypatch.setattr(openai_stream, "done_event", broken)
    with pytest.raises(openai.APIError) as told:
        events(client, CALL)
    assert told.value.code == "fault"
    assert "secret" not in str(told.value.body)


def test_a_quiet_stream_says_that_it_is_there(service: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openai_stream, "ALIVE_S", 0.01)
    with held_after_the_first(service) as hold:
        request = {"files": {"file": ("a.wav", speech(75.0))}, "data": {"stream": "true"}}
        with service.http.stream("POST", "/v1/audio/transcriptions", **request) as answer:
            lines = answer.iter_lines()
            assert ": still here" in (next(lines) for _ in range(100))
            hold.set()
            found = [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")]
        assert found[-1]["type"] == "transcript.text.done"
        assert found[-1]["text"].endswith("".join(event.get("delta", "") for event in found))


def test_silence_has_one_event(client: openai.OpenAI) -> None:
    (done,) = events(client, silence(2.0, "flac", "flac"), include=["logprobs"])
    assert (done.type, done.text, done.logprobs) == ("transcript.text.done", "", [])


def test_warnings_come_as_a_header_and_at_the_end(service: Running) -> None:
    asked = {"stream": "true", "prompt": "Overtone", "response_format": "text"}
    answer: httpx.Response = service.http.post(
        "/v1/audio/transcriptions", files={"file": ("a.wav", clip(61))}, data=asked
    )
    done = json.loads(answer.text.strip().splitlines()[-1].removeprefix("data: "))
    assert answer.headers["x-overtone-warnings"] == " ".join(done["warnings"])
    assert answer.headers["cache-control"] == "no-store"
