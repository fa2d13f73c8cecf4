"""Transcription in the service: its own routes, jobs, cache, and what is shared with emotions."""

from __future__ import annotations

import csv
import io
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from helpers.audio_files import encoded, voice
from helpers.clips import EXAMPLES
from helpers.server.running import Running, serving
from helpers.server.sounds import clip, speech
from helpers.server.transcribing import transcribing
from helpers.waiting import until
from overtone.errors import RefusedError, UsageError
from overtone.options.emotion import Options
from overtone.output.record_reader import parse_record
from overtone.output.records import to_record
from overtone.pipelines.transcription import Transcriber
from overtone.server.api.transcription_schemas import Transcription
from overtone.server.settings import Settings
from overtone.server.state import load_models, transcription_for

CALL = (EXAMPLES / "call.mp3").read_bytes()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with transcribing(tmp_path_factory.mktemp("service"), max_audio_s=100.0) as running:
        yield running


def ask(service: Running, file: bytes, **options: Any) -> Any:
    answer = service.http.post("/v1/transcribe", files={"file": ("a.wav", file)}, params=options)
    assert answer.status_code == 200, answer.text
    return answer.json()


def finished(service: Running, **asked: Any) -> str:
    """The address of a job that has been waited for."""
    answer = service.http.post("/v1/jobs", **asked)
    assert answer.status_code == 202, answer.text
    at = answer.json()["links"]["self"]
    service.http.get(f"{at}/events")  # ends when it is finished
    return at


def test_a_file_is_answered_as_the_package_answers_it(service: Running) -> None:
    record = ask(service, CALL)
    Transcription.model_validate(record)
    with Transcriber(service.server.settings.transcriber, emotion="tiny", memory="4GiB") as transcriber:
        wanted = to_record(transcriber(CALL), granularity="word")
    for name in ("text", "language", "duration", "models", "precision", "backend"):
        assert record[name] == wanted[name], name
    assert [said["text"] for said in record["sentences"]] == [said["text"] for said in wanted["sentences"]]
    assert record["sentences"][0]["words"]
    assert record["sentences"][0]["emotion"]["label"]
    assert record["source"] == "a.wav"


def test_a_record_is_as_fine_as_was_asked_for(service: Running) -> None:
    file = clip(51, 2.0)
    assert "sentences" not in ask(service, file, detail="text")
    assert all("words" not in said for said in ask(service, file, detail="sentence")["sentences"])
    assert all("words" in said for said in ask(service, file, detail="word")["sentences"])


def test_each_channel_has_a_line(service: Running) -> None:
    file = encoded(voice(2.0, channels=2), 16_000, "flac", "flac")
    answer = service.http.post("/v1/transcribe", files={"file": file}, params={"channels": "split", "detail": "text"})
    assert answer.headers["content-type"] == "application/x-ndjson"
    records = [json.loads(line) for line in answer.text.splitlines()]
    assert [(record["channel"], record["channels"]) for record in records] == [(0, 2), (1, 2)]


def test_options_come_with_the_form_or_the_query_and_as_a_body(service: Running) -> None:
    file = clip(52, 2.0)
    form = service.http.post("/v1/transcribe", files={"file": file}, data={"language": "ja", "itn": "false"})
    plain = service.http.post(
        "/v1/transcribe?language=ja&itn=false&name=b.wav", content=file, headers={"Content-Type": "audio/wav"}
    )
    assert (form.status_code, plain.status_code) == (200, 200)
    assert form.json()["text"] == plain.json()["text"]
    assert plain.json()["source"] == "b.wav"
    assert plain.headers["x-overtone-cache"] == "hit"


@pytest.mark.parametrize(
    ("options", "status", "said"),
    [
        ({"language": "de"}, 400, "language is"),
        ({"hotwords": "Overtone"}, 400, "SeACo"),
        ({"num_speakers": "2"}, 400, "speakers=true"),
        ({"num_speakers": "two"}, 400, "a whole number"),
        ({"itn": "perhaps"}, 400, "true or false"),
        ({"detail": "letter"}, 400, "detail is"),
        ({"granularity": "frame"}, 400, "granularity"),
        ({"max_segment": "100"}, 400, "max_segment"),
        ({"model": "whisper-1"}, 404, "there is no model"),
    ],
)
def test_a_wrong_option_is_told(service: Running, options: dict[str, str], status: int, said: str) -> None:
    answer = service.http.post("/v1/transcribe", files={"file": clip(53)}, params=options)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert said in answer.json()["detail"]


def test_both_tasks_of_one_file_are_kept_apart(service: Running) -> None:
    file = clip(54, 2.0)
    written = ask(service, file)
    felt = service.http.post("/v1/emotion", files={"file": file})
    assert felt.headers["x-overtone-cache"] == "miss"
    assert "text" in written
    assert "label" in felt.json()
    again = service.http.post("/v1/transcribe", files={"file": file})
    assert again.headers["x-overtone-cache"] == "hit"
    assert "run;dur" not in again.headers["server-timing"]


def test_what_is_too_long_is_refused_before_it_is_run(service: Running) -> None:
    answer = service.http.post("/v1/transcribe", files={"file": speech(120.0)})
    assert (answer.status_code, answer.json()["code"]) == (413, "too_long")


def test_a_client_that_goes_takes_its_work_along(tmp_path: Path) -> None:
    with transcribing(tmp_path, cache="off") as service:
        backend = service.server.host.transcriber.runtime.engine.workers[0].backend
        run, hold, held = backend.run, threading.Event(), threading.Event()

        def waiting(batch: Any) -> Any:
            held.set()
            hold.wait(20)
            return run(batch)

        backend.run = waiting
        with pytest.raises(Exception, match="timed out"):
            service.http.post("/v1/transcribe", files={"file": speech(60.0)}, timeout=2.0)
        assert held.wait(10)
        hold.set()
        until(lambda: not service.do(lambda: service.server.service.admission.queued_s), "its work has gone")
        assert service.server.host.transcriber.runtime.engine.stats.audio_s < 45


def test_jobs_write_down_in_every_form(service: Running) -> None:
    files = [("file", ("call.mp3", CALL)), ("file", ("none.wav", b"none")), ("file", ("b.wav", clip(55, 2.0)))]
    at = finished(service, files=files, data={"task": "transcribe", "language": "en"})
    told = service.http.get(at).json()
    assert told["task"] == "transcribe"
    assert told["options"] == {"language": "en", "detail": "word"}
    records = [json.loads(line) for line in service.http.get(f"{at}/result").text.splitlines()]
    assert [record["source"] for record in records] == ["call.mp3", "none.wav", "b.wav"]
    assert records[0]["text"] == ask(service, CALL, language="en")["text"]
    assert records[1]["error"]["code"] == "not_audio"
    for record in records:
        Transcription.model_validate(record)

    def form(name: str, **more: Any) -> Any:
        return service.http.get(f"{at}/result", params={"format": name, **more})

    rows = list(csv.DictReader(io.StringIO(form("csv").text)))
    assert {row["source"] for row in rows} == {"call.mp3", "none.wav", "b.wav"}
    assert form("parquet").content.startswith(b"PAR1")
    assert form("srt", file=0).text.startswith("1\n00:00:00,")
    assert form("srt", file=0).headers["content-type"].startswith("application/x-subrip")
    assert form("vtt", file=2).text.startswith("WEBVTT")
    assert form("txt", file=0).text.splitlines() == [said["text"] for said in records[0]["sentences"]]
    assert form("srt", file=1).text == ""
    assert json.loads(form("jsonl", file=2).text) == records[2]
    assert form("srt").status_code == 400
    assert "file" in form("srt").json()["detail"]
    assert form("srt", file=7).status_code == 404
    assert form("srt", file="a").status_code == 400
    assert form("docx").status_code == 400


def test_jobs_of_emotions_have_these_forms_too(service: Running) -> None:
    at = finished(service, files={"file": ("call.mp3", CALL)})
    assert service.http.get(at).json()["task"] == "emotion"
    assert service.http.get(f"{at}/result?format=srt").text.startswith("1\n")
    assert "\t" in service.http.get(f"{at}/result?format=txt").text
    assert service.http.get(f"{at}/result?format=csv").text.startswith("source,")


def test_a_timeline_of_what_has_none_is_refused(service: Running) -> None:
    at = finished(service, files={"file": clip(56)}, params={"task": "transcribe", "detail": "text"})
    answer = service.http.get(f"{at}/result?format=vtt")
    assert (answer.status_code, answer.json()["code"]) == (400, "usage")


@pytest.mark.parametrize(
    ("params", "data"),
    [
        ({"task": "sing"}, {}),
        ({"task": "transcribe", "granularity": "frame"}, {}),
        ({"language": "en"}, {}),
        ({}, {"task": "transcribe", "embeddings": "true"}),
        ({"task": "transcribe"}, {"task": "transcribe"}),
    ],
)
def test_a_job_that_cannot_be_is_refused(service: Running, params: dict[str, str], data: dict[str, str]) -> None:
    answer = service.http.post("/v1/jobs", files={"file": clip(57)}, params=params, data=data)
    assert answer.status_code == 400, answer.text


def test_models_are_told_with_what_they_use(service: Running) -> None:
    felt, written = service.http.get("/v1/models").json()["models"]
    assert (felt["task"], felt["id"], felt["models"]) == ("emotion", "tiny", {})
    assert (written["task"], written["id"]) == ("transcribe", "SenseVoiceSmall")
    assert written["models"] == {"vad": "silero", "emotion": "tiny"}
    assert felt["fingerprint"] != written["fingerprint"]


def test_metrics_tell_the_tasks_apart(service: Running) -> None:
    ask(service, clip(58, 1.5))
    text = service.http.get("/metrics").text
    assert 'overtone_audio_seconds_total{kind="interactive",task="transcribe"}' in text
    assert 'transcriber="SenseVoiceSmall"' in text


def test_one_budget_holds_all_models_and_readiness_is_that_of_all(service: Running) -> None:
    snapshot = service.do(service.server.snapshot)
    assert snapshot.memory_planned_bytes <= snapshot.memory_budget_bytes == 4 << 30
    models = service.server.host.last
    assert models is not None
    assert len(models.engines) == 2
    assert len({engine.plan.budget_bytes for engine in models.engines}) == 1
    assert service.http.get("/readyz").json()["ready"]


def test_a_recognizer_that_dies_is_started_anew_with_the_rest(tmp_path: Path) -> None:
    with transcribing(tmp_path) as service:
        first = service.server.host.last
        assert first is not None
        assert first.transcriber is not None
        engine = first.transcriber.runtime.engine
        engine.close(drain=False)
        until(lambda: service.server.host.last not in (first, None), "it is started anew")
        assert service.server.host.restarts == 1
        assert ask(service, clip(59))["text"] is not None
        assert service.http.post("/v1/emotion", files={"file": clip(59)}).status_code == 200


def test_without_a_transcriber_everything_is_as_before(tmp_path: Path) -> None:
    with serving(tmp_path) as service:
        answer = service.http.post("/v1/transcribe", files={"file": clip(60)})
        assert (answer.status_code, answer.json()["code"]) == (404, "unknown")
        assert "--transcriber sensevoice" in answer.json()["detail"]
        assert service.http.post("/v1/jobs", files={"file": clip(60)}, data={"task": "transcribe"}).status_code == 404
        told = service.http.get("/v1/models").json()
        assert [model["id"] for model in told["data"]] == ["tiny"]
        assert len(told["models"]) == 1
        with pytest.raises(RefusedError):
            _ = service.server.host.transcriber


def test_a_job_that_waited_for_a_transcriber_that_is_gone_says_so(tmp_path: Path) -> None:
    with transcribing(tmp_path) as service:
        service.do(service.server.jobs.stop)
        answer = service.http.post("/v1/jobs", files={"file": ("a.wav", clip(61))}, data={"task": "transcribe"})
        at = answer.json()["links"]["self"]
    with serving(tmp_path) as service:
        service.http.get(f"{at}/events")
        assert service.http.get(at).json()["state"] == "failed"
        (line,) = service.http.get(f"{at}/result").text.splitlines()
        assert "--transcriber sensevoice" in json.loads(line)["error"]["message"]
        Transcription.model_validate(json.loads(line))


def test_a_job_that_was_stopped_goes_on_after_the_next_start(tmp_path: Path) -> None:
    with transcribing(tmp_path) as service:
        answer = service.http.post("/v1/jobs", files={"file": ("a.wav", speech(90.0))}, data={"task": "transcribe"})
        at = answer.json()["links"]["self"]
    with transcribing(tmp_path) as service:
        service.http.get(f"{at}/events")
        record = json.loads(service.http.get(f"{at}/result").text)
        assert record["error"] is None
        assert record["duration"] == 90.0
        assert record["sentences"]


def test_options_of_the_machine_are_shared() -> None:
    options = Options(model="tiny", memory="3GiB", threads=2, precision="bf16", segment="window", window=12.0)
    made = transcription_for(options, "sensevoice")
    assert (made.model, made.emotion, made.memory, made.threads) == ("sensevoice", "tiny", "3GiB", 2)
    assert (made.precision, made.segment, made.max_segment) == ("bf16", "vad", 30.0)


@pytest.mark.parametrize("options", [{"offload": True}, {"context": "full"}, {"segment": "none"}])
def test_what_does_not_go_together_is_said_before_anything_is_loaded(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        load_models(Options(**options), Settings(transcriber="sensevoice"))


def test_a_record_is_read_back_as_it_was_written(service: Running) -> None:
    for options in ({}, {"detail": "sentence"}, {"detail": "text"}):
        record = ask(service, CALL, **options)
        assert to_record(parse_record(record), granularity=options.get("detail", "word")) == record
