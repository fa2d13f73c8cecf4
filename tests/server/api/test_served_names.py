"""What models are called, and that no answer of the service says where anything lies on its disk."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import websockets

from helpers.clips import EXAMPLES
from helpers.oracles import sense_voice
from helpers.server.running import Running, serving
from helpers.server.transcribing import converting_here
from helpers.waiting import until
from overtone.errors import CheckpointError, DeviceError, UsageError
from overtone.options.emotion import PER_CALL
from overtone.options.transcription import TRANSCRIBE_PER_CALL
from overtone.server.settings import Settings
from overtone.system.assets import asset

MARKER = "zanzibar"
"""Part of the path of everything that the service has on disk, and of nothing else."""

_NUMBERS = itertools.count()

FLAG = re.compile(r"(?<![\w-])--[a-z]")

SAD = (EXAMPLES / "sad.wav").read_bytes()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("service") / MARKER
    shutil.copytree(asset("tiny"), made / "moods")
    sense_voice.publish(made / "scribe")
    return made


@contextlib.contextmanager
def marked(folder: Path, **given: Any) -> Iterator[Running]:
    """A service of models whose folders bear the mark, as all its own do."""
    place = folder / f"service-{next(_NUMBERS)}"
    place.mkdir()
    models = {"model": str(folder / "moods"), "transcriber": str(folder / "scribe")}
    with converting_here(), serving(place, **models, **given) as running:
        yield running


@pytest.fixture(scope="module")
def service(folder: Path) -> Iterator[Running]:
    with marked(folder) as running:
        yield running


def send(service: Running, path: str, content: bytes = SAD, **query: Any) -> httpx.Response:
    return service.http.post(path, files={"file": ("sad.wav", content)}, params=query)


def test_models_are_called_by_the_last_part_of_their_folder(service: Running) -> None:
    listed = service.http.get("/v1/models").json()
    assert [model["id"] for model in listed["models"]] == ["moods", "scribe"]
    assert [model["id"] for model in listed["data"]][:2] == ["moods", "scribe"]
    assert listed["models"][1]["models"]["emotion"] == "moods"
    assert send(service, "/v1/emotion", model="moods").json()["model"] == "moods"
    transcript = send(service, "/v1/transcribe", model="scribe").json()
    assert (transcript["model"], transcript["models"]["emotion"]) == ("scribe", "moods")
    form = {"model": "scribe"}
    said = service.http.post("/v1/audio/transcriptions", files={"file": ("a.wav", SAD)}, data=form)
    assert said.status_code == 200
    metrics = service.http.get("/metrics").text
    assert 'model="moods"' in metrics
    assert 'transcriber="scribe"' in metrics
    for path, wrong, right in (("/v1/emotion", "scribe", "moods"), ("/v1/transcribe", "moods", "scribe")):
        answer = send(service, path, model=wrong)
        assert (answer.status_code, answer.json()["code"]) == (404, "unknown")
        assert repr(wrong) in answer.json()["detail"]
        assert repr(right) in answer.json()["detail"]


def test_models_are_called_as_the_settings_say(folder: Path) -> None:
    with marked(folder, served_name="feelings", transcriber_served_name="org/words") as service:
        assert [model["id"] for model in service.http.get("/v1/models").json()["models"]] == ["feelings", "org/words"]
        assert send(service, "/v1/emotion", model="feelings").json()["model"] == "feelings"
        transcript = send(service, "/v1/transcribe", model="org/words").json()
        assert (transcript["model"], transcript["models"]["emotion"]) == ("org/words", "feelings")
        assert send(service, "/v1/emotion", model="moods").status_code == 404
        assert 'model="feelings"' in service.http.get("/metrics").text


@pytest.mark.parametrize("name", ["", "a\nb", "x" * 129])
def test_names_that_cannot_be_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match="1 to 128 printable characters"):
        Settings(served_name=name)
    with pytest.raises(UsageError, match="1 to 128 printable characters"):
        Settings(transcriber_served_name=name)


def test_two_models_of_one_name_are_refused() -> None:
    with pytest.raises(UsageError, match="both 'a'; two models have two names"):
        Settings(served_name="a", transcriber_served_name="a")


# No answer shows a path


def crawled(service: Running) -> Iterator[httpx.Response]:
    """Answers of every route that OpenAPI names, asked rightly and wrongly."""
    jobs = [send(service, "/v1/jobs", content) for content in (SAD, b"not audio")]
    yield from jobs
    ids = [job.json()["id"] for job in jobs if job.status_code == 202]
    for id in ids:
        yield service.http.get(f"/v1/jobs/{id}/events")  # ends when it is finished
    names = ["model", "detail", "name", "format", "embeddings", "file", "seconds", "nonsense"]
    names += sorted({*PER_CALL, *TRANSCRIBE_PER_CALL})
    queries: list[dict[str, Any]] = [{}, {"seconds": 1}, *({name: "x"} for name in names), {"max_segment": 9999}]
    paths = service.http.get("/openapi.json").json()["paths"]
    for path, operations in paths.items():
        for method, query in itertools.product(sorted(operations, key="get post delete".find), queries):
            for id in [*ids, "none"] if "{id}" in path else ["-"]:
                address = path.replace("{id}", id)
                yield service.http.request(method, address, params=query)
                if method == "post":
                    yield send(service, address, **query)
        if "post" in operations:
            for content in (b"", b"not audio", SAD[:100]):
                yield send(service, path, content)
    yield service.http.get("/nowhere")
    yield service.http.put("/v1/emotion")


def streamed(service: Running, query: str = "") -> str:
    """Everything that a stream says."""

    async def main() -> str:
        heard = []
        try:
            address = service.url.replace("http", "ws") + "/v1/stream" + query
            async with websockets.connect(address, proxy=None) as socket:
                await socket.send(bytes(64_000))
                await socket.send("end")
                while True:
                    heard.append(str(await socket.recv()))
        except websockets.InvalidStatus as refused:
            heard.append(f"{refused.response.headers} {refused.response.body!r}")
        except websockets.ConnectionClosed as closed:
            heard.append(str(closed))
        assert heard
        return "".join(heard)

    return asyncio.run(main())


def shown(response: httpx.Response) -> str:
    return f"{response.headers} {response.text}"


def statuses(responses: list[httpx.Response]) -> set[int]:
    """The statuses of answers, none of which shows the mark; nor does an error name a flag."""
    for response in responses:
        asked = f"{response.request.method} {response.request.url}"
        assert MARKER not in shown(response), f"{asked}: {shown(response)}"
        if response.status_code >= 400:
            assert not FLAG.search(shown(response)), f"{asked}: {shown(response)}"
    return {response.status_code for response in responses}


def test_no_answer_of_any_route_shows_a_path(service: Running) -> None:
    assert statuses(list(crawled(service))) >= {200, 202, 400, 404, 405, 415, 422}
    for query in ("", "?model=x", "?format=opus", "?hop=0.001"):
        assert MARKER not in streamed(service, query)


def test_no_fault_of_the_model_shows_a_path(service: Running, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    models = service.server.host.last
    assert models is not None
    unheard = (EXAMPLES / "call.mp3").read_bytes()
    for error in (CheckpointError(f"{folder}: broken"), OSError(5, "I/O error", str(folder)), ValueError(folder)):

        def failing(_: Any, error: Exception = error) -> Any:
            raise error

        with monkeypatch.context() as patched:
            for engine in models.engines:
                patched.setattr(engine.workers[0].backend, "run", failing)
            routes = ("/v1/emotion", "/v1/transcribe", "/v1/audio/transcriptions")
            answers = [send(service, path, unheard) for path in routes]
            assert statuses(answers) <= {400, 422, 500, 503}
            job = send(service, "/v1/jobs", unheard).json()
            statuses([service.http.get(job["links"]["events"])])
            result = service.http.get(job["links"]["result"])
            statuses([result])
            assert json.loads(result.text)["error"] is not None
            assert MARKER not in streamed(service)


def test_no_fault_of_the_disk_shows_a_path(folder: Path) -> None:
    with marked(folder, uploads=str(folder / "uploads"), jobs=str(folder / "jobs"), cache="off") as service:
        job = send(service, "/v1/jobs").json()
        statuses([service.http.get(job["links"]["events"])])
        shutil.rmtree(folder / "uploads")
        (folder / "uploads").touch()  # so that it cannot be made again
        assert statuses([send(service, path) for path in ("/v1/emotion", "/v1/transcribe", "/v1/jobs")]) <= {500, 503}
        for lost in (folder / "jobs").iterdir():
            if lost.is_dir():
                shutil.rmtree(lost)
        statuses([service.http.get(job["links"][name]) for name in ("self", "events")])
        assert statuses([service.http.get(job["links"]["result"])]) == {404}
        statuses([service.http.delete(job["links"]["self"]), service.http.get("/v1/jobs")])


def test_a_model_that_cannot_be_started_anew_shows_no_path(folder: Path) -> None:
    with pytest.raises(Exception, match="the model died"), marked(folder, grace_s=0.0) as service:
        host = service.server.host

        def start() -> Any:
            raise CheckpointError(f"{folder}: no config.yaml")

        def lost(_: Any) -> Any:
            raise DeviceError("the device is lost", code="device_lost")

        host._start, host._failed = start, lambda: None
        host.recognizer.runtime.engine.workers[0].backend.run = lost
        statuses([send(service, "/v1/emotion")])
        until(lambda: host.state == "failed")
        assert statuses(list(crawled(service))) >= {200, 404, 503}
        assert MARKER not in streamed(service)
        service.do(service.server.died.set)
