"""OpenAI's own client against a live service."""

from __future__ import annotations

import math
import re
import runpy
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from websockets.sync.client import connect

from helpers.audio_files import wav16
from helpers.clips import EXAMPLES, voice
from helpers.command import environment as command_environment
from helpers.server.running import Running, serving
from helpers.server.sounds import clip, silence
from helpers.server.transcribing import environment, transcribing
from helpers.waiting import until
from overtone.server.auth import add_key

CALL = EXAMPLES / "call.mp3"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with transcribing(tmp_path_factory.mktemp("service")) as running:
        yield running


@pytest.fixture(scope="module")
def client(service: Running) -> Iterator[openai.OpenAI]:
    with of(service) as made:
        yield made


def of(service: Running, key: str = "none") -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{service.url}/v1", api_key=key, max_retries=0)


def test_the_text_comes_as_json_and_as_text(client: openai.OpenAI, service: Running) -> None:
    with CALL.open("rb") as file:
        said = client.audio.transcriptions.create(model="whisper-1", file=file)
    record = service.http.post("/v1/transcribe", files={"file": CALL.read_bytes()}).json()
    assert said.text == record["text"]
    assert len(said.text) > 100
    assert said.usage is not None
    assert said.usage.type == "duration"
    assert said.usage.seconds == math.ceil(record["duration"])
    text = client.audio.transcriptions.create(
        model=record["model"], file=("call.mp3", CALL.read_bytes()), response_format="text"
    )
    assert text == said.text + "\n"


def test_subtitles_are_the_text_alone(client: openai.OpenAI, service: Running) -> None:
    verbose = client.audio.transcriptions.create(model="whisper-1", file=CALL, response_format="verbose_json")
    assert verbose.segments[0].emotion
    srt = client.audio.transcriptions.create(model="whisper-1", file=CALL, response_format="srt")
    vtt = client.audio.transcriptions.create(model="whisper-1", file=CALL, response_format="vtt")
    assert srt.startswith("1\n00:00:00,")
    assert vtt.startswith("WEBVTT\n\n00:00:00.")
    assert srt.count(" --> ") == vtt.count(" --> ") > 5
    assert "[" not in srt + vtt
    cues = re.findall(r"^\d+\n\S+ --> \S+\n(.*?)\n\n", srt, re.MULTILINE | re.DOTALL)
    letters = "".join("".join(cues).split()).replace("‹", "<").replace("›", ">")
    assert letters == "".join("".join(said.text for said in verbose.segments or []).split())


def test_a_model_is_retrieved_by_each_of_its_names(client: openai.OpenAI, service: Running) -> None:
    listed = {model.id: model for model in client.models.list()}
    for name, model in listed.items():
        assert client.models.retrieve(name) == model
    assert listed["whisper-1"].object == "model"
    assert client.models.retrieve("whisper-1").created == round(service.server.started)
    with pytest.raises(openai.NotFoundError, match="SenseVoiceSmall") as told:
        client.models.retrieve("openai/whisper-large-v3")
    assert (told.value.code, told.value.param, told.value.type) == ("model_not_found", "model", "invalid_request_error")


def test_words_have_the_logarithm_of_their_confidence(client: openai.OpenAI, service: Running) -> None:
    said = client.audio.transcriptions.create(model="whisper-1", file=CALL, include=["logprobs"])
    record = service.http.post("/v1/transcribe", files={"file": CALL.read_bytes()}).json()
    words = [word for sentence in record["sentences"] for word in sentence["words"]]
    assert [one.token for one in said.logprobs or []] == [word["text"] for word in words]
    for one, word in zip(said.logprobs or [], words, strict=True):
        assert bytes(map(int, one.bytes or [])).decode() == word["text"]
        assert math.exp(one.logprob) == pytest.approx(word["confidence"], abs=1e-4)


def test_what_is_not_followed_is_told_in_every_form(client: openai.OpenAI) -> None:
    asked = {
        "include": ["logprobs"],
        "prompt": "Overtone",
        "known_speaker_names": ["agent"],
        "known_speaker_references": ["data:audio/wav;base64," + "A" * 100_000],
        "chunking_strategy": {"type": "server_vad", "threshold": 0.5},
        "extra_body": {"languages": ["en", "de"]},
    }
    names = ("prompt", "threshold", "known_speaker_names")  # what is sent of references is let go, and is as if empty
    for form in ("text", "srt", "vtt", "verbose_json"):
        raw = client.audio.transcriptions.with_raw_response.create(
            model="whisper-1", file=("a.wav", clip(34)), response_format=form, **asked
        )
        told = raw.headers["x-overtone-warnings"]
        assert all(name in told for name in (*names, "include", "languages"))
        if form == "verbose_json":
            assert " ".join(raw.parse().model_extra["warnings"]) == told
    said = client.audio.transcriptions.create(model="whisper-1", file=("a.wav", clip(34)), **asked)
    assert all(any(name in warning for warning in said.model_extra["warnings"]) for name in names)
    assert said.logprobs is not None
    plain = client.audio.transcriptions.with_raw_response.create(
        model="whisper-1", file=("a.wav", clip(34)), chunking_strategy="auto"
    )
    assert "x-overtone-warnings" not in plain.headers
    assert plain.parse().text == said.text


def test_no_prompt_is_too_long(client: openai.OpenAI) -> None:
    said = client.audio.transcriptions.create(
        model="whisper-1", file=("a.wav", clip(34)), prompt="好" * 10_000, response_format="verbose_json"
    )
    assert len(said.model_extra["warnings"]) == 1


def test_everything_is_in_verbose_json(client: openai.OpenAI) -> None:
    said = client.audio.transcriptions.create(
        model="whisper-1",
        file=CALL,
        response_format="verbose_json",
        timestamp_granularities=["word", "segment"],
        language="en",
        temperature=0.25,
    )
    assert (said.language, round(said.duration, 3)) == ("english", 49.851)
    assert said.words
    assert said.segments
    assert [segment.id for segment in said.segments] == list(range(len(said.segments)))
    for segment in said.segments:
        assert 0 <= segment.start < segment.end <= said.duration
        assert segment.avg_logprob <= 0
        assert segment.compression_ratio > 0
        assert (segment.temperature, segment.tokens, segment.seek, segment.no_speech_prob) == (0.25, [], 0, 0.0)
        assert segment.emotion in {"angry", "bored", "disgusted", "fearful", "happy", "neutral", "sad"}
    assert "".join(segment.text for segment in said.segments).replace(" ", "") == said.text.replace(" ", "")
    starts = [word.start for word in said.words]
    assert starts == sorted(starts)
    assert all(word.word and word.start <= word.end for word in said.words)


def test_only_what_is_asked_for_is_told(client: openai.OpenAI) -> None:
    def told(*granularities: str) -> tuple[bool, bool]:
        extra = {"timestamp_granularities": granularities} if granularities else {}
        said = client.audio.transcriptions.create(model="whisper-1", file=CALL, response_format="verbose_json", **extra)
        return said.segments is not None, said.words is not None

    assert [told(), told("segment"), told("word")] == [(True, False), (True, False), (False, True)]


def test_the_same_file_is_computed_once_for_every_form(client: openai.OpenAI, service: Running) -> None:
    file = ("a.wav", clip(31, 2.0))
    client.audio.transcriptions.create(model="whisper-1", file=file)
    ran = service.server.host.stats.segments
    for form in ("text", "srt", "vtt", "verbose_json"):
        client.audio.transcriptions.create(model="whisper-1", file=file, response_format=form)
    assert service.server.host.stats.segments == ran


def test_silence_has_no_text(client: openai.OpenAI) -> None:
    file = ("silence.flac", silence(2.0, "flac", "flac"))
    said = client.audio.transcriptions.create(model="whisper-1", file=file, response_format="verbose_json")
    assert (said.text, said.segments) == ("", [])
    assert client.audio.transcriptions.create(model="whisper-1", file=file, response_format="text") == "\n"
    assert client.audio.transcriptions.create(model="whisper-1", file=file, response_format="vtt") == "WEBVTT\n\n"
    assert client.audio.transcriptions.create(model="whisper-1", file=file, response_format="srt") == ""


@pytest.mark.parametrize("form", ["json", "text", "srt", "verbose_json", "vtt"])
def test_warnings_of_the_file_are_passed_on(client: openai.OpenAI, service: Running, form: str) -> None:
    whole = clip(32)
    answer = service.http.post(
        "/v1/audio/transcriptions", files={"file": ("a.wav", whole[: len(whole) // 2])}, data={"response_format": form}
    )
    assert answer.status_code == 200
    assert "the file holds" in answer.headers["X-Overtone-Warnings"]
    if "json" in form:
        assert any("the file holds" in warning for warning in answer.json()["warnings"])


def test_words_to_listen_for_are_left_out_with_a_warning_where_the_model_knows_none(client: openai.OpenAI) -> None:
    said = client.audio.transcriptions.create(
        model="whisper-1", file=("a.wav", clip(32)), response_format="verbose_json", prompt="Overtone SeACo"
    )
    assert "prompt" in said.model_extra["warnings"][0]


@pytest.mark.parametrize(
    ("given", "param"),
    [
        ({"language": "de"}, "language"),
        ({"language": "chinese"}, "language"),
        ({"response_format": "diarized_json"}, "response_format"),
        ({"response_format": "words"}, "response_format"),
        ({"temperature": 1.5}, "temperature"),
        ({"temperature": "warm"}, "temperature"),
        ({"timestamp_granularities": ["word"]}, "timestamp_granularities[]"),
        ({"timestamp_granularities": ["line"], "response_format": "verbose_json"}, "timestamp_granularities[]"),
        ({"stream": True, "response_format": "srt"}, "stream"),
        ({"stream": True, "response_format": "verbose_json"}, "stream"),
        ({"extra_body": {"stream": "perhaps"}}, "stream"),
        ({"extra_body": {"best_of": 5}}, "best_of"),
        ({"include": ["tokens"]}, "include[]"),
        ({"chunking_strategy": {"type": "client_vad"}}, "chunking_strategy"),
        ({"chunking_strategy": {"type": "server_vad", "threshold": 2}}, "chunking_strategy"),
    ],
)
def test_what_cannot_be_is_a_bad_request_that_names_it(client: openai.OpenAI, given: dict, param: str) -> None:
    with pytest.raises(openai.BadRequestError) as told:
        client.audio.transcriptions.create(model="whisper-1", file=("a.wav", clip(33)), **given)
    error = told.value
    assert (error.param, error.type, error.code) == (param, "invalid_request_error", "usage")
    assert error.request_id


def test_another_model_is_not_found(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as told:
        client.audio.transcriptions.create(model="gpt-4o-transcribe", file=("a.wav", clip(33)))
    assert (told.value.code, told.value.param) == ("model_not_found", "model")


@pytest.mark.parametrize(
    ("file", "code"),
    [(b"no audio at all", "not_audio"), (b"", "empty"), (wav16(voice(0.01)[None]), "too_short")],
    ids=["no audio", "empty", "too short"],
)
def test_what_is_no_audio_is_a_bad_request(client: openai.OpenAI, file: bytes, code: str) -> None:
    with pytest.raises(openai.BadRequestError) as told:
        client.audio.transcriptions.create(model="whisper-1", file=("a.wav", file))
    assert (told.value.code, told.value.type) == (code, "invalid_request_error")
    assert "a.wav" in str(told.value)


def test_translations_are_refused_with_what_to_do(client: openai.OpenAI) -> None:
    # The client calls them deprecated.
    with (
        pytest.warns(DeprecationWarning, match="deprecated"),
        pytest.raises(openai.BadRequestError, match="/v1/audio/transcriptions"),
    ):
        client.audio.translations.create(model="whisper-1", file=("a.wav", clip(33)))


def test_models_are_listed(client: openai.OpenAI) -> None:
    listed = [model.id for model in client.models.list()]
    assert listed == ["tiny", "SenseVoiceSmall", "whisper-1"]


def test_errors_of_the_service_are_those_of_the_client(tmp_path: Path) -> None:
    keys = tmp_path / "keys.json"
    key = add_key(keys, "alice")
    limits = {"max_audio_s": 5.0, "max_upload": "1MiB", "queue_audio_s": 5.0}
    with transcribing(tmp_path, keys=str(keys), **limits) as service, of(service, key) as client:
        with of(service, "wrong") as stranger, pytest.raises(openai.AuthenticationError) as told:
            stranger.audio.transcriptions.create(model="whisper-1", file=("a.wav", clip(1)))
        assert (told.value.code, told.value.type) == ("unauthorized", "authentication_error")
        with of(service, "wrong") as stranger, pytest.raises(openai.AuthenticationError) as told:
            stranger.models.list()
        assert told.value.code == "unauthorized"
        with of(service, "wrong") as stranger, pytest.raises(openai.AuthenticationError) as told:
            stranger.models.retrieve("whisper-1")
        assert (told.value.code, told.value.type) == ("unauthorized", "authentication_error")
        assert client.audio.transcriptions.create(model="whisper-1", file=("a.wav", clip(1))).usage.seconds == 1
        with pytest.raises(openai.APIStatusError) as told:
            client.audio.transcriptions.create(model="whisper-1", file=("a.wav", clip(2, 6.0)))
        assert (told.value.status_code, told.value.code) == (413, "too_long")
        with pytest.raises(openai.APIStatusError) as told:
            client.audio.transcriptions.create(model="whisper-1", file=("a.wav", bytes(2 << 20)))
        assert (told.value.status_code, told.value.code) == (413, "too_large")
        with pytest.raises(openai.NotFoundError) as told:
            client.post("/audio/other", cast_to=object)
        assert (told.value.code, told.value.type) == ("unknown", "invalid_request_error")
        held = service.do(lambda: service.server.service.admission.admit("bob", 100.0, 1.0))
        with pytest.raises(openai.RateLimitError) as busy:
            client.audio.transcriptions.create(model="whisper-1", file=("a.wav", clip(3)))
        assert busy.value.type == "rate_limit_error"
        assert int(busy.value.response.headers["retry-after"]) >= 1
        service.do(held.release)
        service.do(lambda: setattr(service.server.host, "state", "restarting"))
        with pytest.raises(openai.InternalServerError) as ending:
            client.audio.transcriptions.create(model="whisper-1", file=("a.wav", clip(4)))
        assert (ending.value.status_code, ending.value.code) == (503, "not_ready")
        service.do(lambda: setattr(service.server.host, "state", "ready"))


def test_too_much_of_one_client_is_told_in_openais_form(tmp_path: Path) -> None:
    with transcribing(tmp_path, client_requests=1) as service, of(service) as client:
        with connect(service.url.replace("http", "ws") + "/v1/stream", proxy=None) as socket:
            socket.recv()
            asked = (
                lambda: client.models.retrieve("whisper-1"),
                lambda: client.audio.transcriptions.create(model="whisper-1", file=("a.wav", clip(1))),
            )
            for ask in asked:
                with pytest.raises(openai.RateLimitError) as busy:
                    ask()
                assert (busy.value.type, busy.value.code) == ("rate_limit_error", "busy")
        until(lambda: service.http.get("/v1/models/whisper-1").status_code == 200, "it has gone")


def test_a_service_that_writes_nothing_down_says_what_to_start(tmp_path: Path) -> None:
    with (
        serving(tmp_path) as service,
        of(service) as client,
        pytest.raises(openai.NotFoundError, match="--transcriber"),
    ):
        client.audio.transcriptions.create(model="whisper-1", file=("a.wav", clip(1)))


def test_prompt_and_keywords_are_words_to_listen_for_where_the_model_can(tmp_path: Path) -> None:
    with (
        environment(OVERTONE_PUNCTUATION="none"),
        transcribing(tmp_path, recognizer="SeacoParaformer") as service,
        of(service) as client,
    ):
        assert service.http.get("/readyz").json()["ready"]
        said = client.audio.transcriptions.create(
            model="whisper-1",
            file=("a.wav", clip(1, 2.0)),
            prompt="魔搭",
            extra_body={"keywords": ["阿里"]},
            language="zh",
            response_format="verbose_json",
        )
        (warning,) = said.model_extra["warnings"]
        assert "language" in warning


def example(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> None:
    """Run the example as a program is run, in this process, which has imported OpenAI's client."""
    program = EXAMPLES / "client" / "openai_client.py"
    monkeypatch.setattr(sys, "argv", [str(program), *map(str, arguments)])
    runpy.run_path(str(program), run_name="__main__")


@pytest.mark.parametrize("form", ["verbose_json", "srt"])
def test_the_example_does_what_it_says(
    service: Running, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], form: str
) -> None:
    example(monkeypatch, "--url", service.url, "--form", form, CALL)
    assert capsys.readouterr().out.startswith("    0." if form == "verbose_json" else "1\n00:00:00,")


def test_the_example_says_what_went_wrong(service: Running) -> None:
    program = [sys.executable, EXAMPLES / "client" / "openai_client.py", "--url", service.url]
    for file, said in ((EXAMPLES / "README.md", "not audio"), (EXAMPLES / "none.wav", "No such file")):
        ran = subprocess.run(
            [*program, file], capture_output=True, encoding="utf-8", env=command_environment(), timeout=60, check=False
        )
        assert ran.returncode == 1
        assert said in ran.stderr
        assert "Traceback" not in ran.stderr


def test_the_lines_of_the_page_run(
    service: Running, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (EXAMPLES.parent / "docs" / "server.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    monkeypatch.chdir(EXAMPLES.parent)
    names: dict[str, Any] = {}
    exec(code.replace("http://127.0.0.1:8765", service.url), names)
    names["client"].close()
    assert len(capsys.readouterr().out) > 100
