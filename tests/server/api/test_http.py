"""The service over HTTP, as clients see it."""

from __future__ import annotations

import contextlib
import http.client
import io
import json
import socket
import threading
import wave
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from helpers import audio_files
from helpers.clips import EXAMPLES, voice
from helpers.server.running import Running, serving
from helpers.waiting import until
from overtone import EmotionRecognizer
from overtone.output.records import to_record
from overtone.server.api.problems import STATUSES
from overtone.server.auth import add_key

CALL, SAD = EXAMPLES / "call.mp3", EXAMPLES / "sad.wav"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with serving(tmp_path_factory.mktemp("service")) as running:
        yield running


@pytest.fixture(scope="module")
def tiny() -> Any:
    with EmotionRecognizer("tiny", memory="4GiB") as recognizer:
        yield recognizer


def wav(seconds: float, seed: int = 0, rate: int = 16_000) -> bytes:
    """Speech that no other test sends: the cache does not know it."""
    samples = voice(seconds, seed, rate) * 32_000
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes(samples.astype("<i2").tobytes())
    return file.getvalue()


def post(service: Running, path: str = "/v1/emotion", *, file: bytes | None = None, **more: Any) -> httpx.Response:
    content = CALL.read_bytes() if file is None else file
    return service.http.post(path, files={"file": ("call.mp3", content)}, **more)


def without_timings(record: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in record.items() if key != "timings"}


def problem(response: httpx.Response, status: int, code: str) -> str:
    assert response.headers["content-type"] == "application/problem+json"
    body = response.json()
    assert (response.status_code, body["status"], body["code"]) == (status, status, code), body
    assert body["request_id"] == response.headers["x-request-id"]
    return str(body["detail"])


# Answers


def test_the_answer_is_the_record_of_the_command_line(service: Running, tiny: EmotionRecognizer) -> None:
    answer = post(service)
    assert answer.status_code == 200
    expected = json.loads(json.dumps(to_record(tiny(str(CALL)), granularity="segment")))
    assert without_timings(answer.json()) == without_timings({**expected, "source": "call.mp3"})


@pytest.mark.parametrize("form", [True, False])
def test_options_come_in_the_query_or_the_form(service: Running, form: bool) -> None:
    options = {"granularity": "utterance", "embeddings": "true", "labels": "english"}
    answer = post(service, **({"data": options} if form else {"params": options})).json()
    assert "segments" not in answer
    assert len(answer["embedding"]) == 128


def test_the_body_may_be_the_file_itself(service: Running) -> None:
    for kind in ("application/octet-stream", "audio/wav"):
        answer = service.http.post(
            "/v1/emotion?name=mine.wav&granularity=utterance", content=SAD.read_bytes(), headers={"Content-Type": kind}
        )
        assert answer.json()["source"] == "mine.wav"
        assert answer.json()["label"] == "sad"


def test_channels_are_lines(service: Running) -> None:
    answer = post(service, params={"channels": "split", "granularity": "utterance"})
    assert answer.headers["content-type"] == "application/x-ndjson"
    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert [(line["channel"], line["channels"]) for line in lines] == [(0, 2), (1, 2)]


def test_an_audio_track_is_chosen_and_times_are_a_players(service: Running) -> None:
    sound = np.stack([voice(1.0, rate=48_000), np.zeros(48_000, np.float32)])
    tracks = ["ger", "eng"]
    film = audio_files.retimed(sound, 48_000, "matroska", "flac", lambda s: s + 2.0, picture_s=3.0, tracks=tracks)
    first, second = (post(service, file=film, params={"audio_track": track}).json() for track in (0, 1))
    assert first["duration"] == second["duration"] == pytest.approx(3.0, abs=0.01)
    assert first["warnings"] == second["warnings"] == ["2.0 s without audio at 0.0 s were filled with silence"]
    assert first["score"] is not None
    assert second["label"] == "silence"
    assert "audio_track can be one of: 0 (ger, flac" in problem(
        post(service, file=film, params={"audio_track": 2}), 422, "no_audio"
    )
    assert "0 to 999" in problem(post(service, file=film, params={"audio_track": -1}), 400, "usage")


def test_frames_are_scored_when_they_are_asked_for(service: Running) -> None:
    frames = post(service, file=SAD.read_bytes(), params={"granularity": "frame"}).json()["frames"]
    assert len(frames["starts"]) == len(frames["scores"]) > 400


def test_embeddings_alone(service: Running, tiny: EmotionRecognizer) -> None:
    expected = tiny(str(SAD), granularity="frame")
    plain = post(service, "/v1/embeddings", file=SAD.read_bytes()).json()
    np.testing.assert_allclose(plain["embedding"], expected.embedding, atol=1e-5)
    assert plain["dim"] == 128
    packed = post(service, "/v1/embeddings?format=npz&granularity=frame", file=SAD.read_bytes())
    arrays = np.load(io.BytesIO(packed.content))
    assert expected.frames is not None
    np.testing.assert_allclose(arrays["frames"], expected.frames.embeddings.numpy(), atol=1e-4)


def test_an_answer_that_was_given_is_kept_whatever_the_file_is_called(service: Running) -> None:
    file = wav(2.0, seed=11)
    first = post(service, file=file)
    ran = service.server.host.stats.segments
    again = service.http.post("/v1/emotion", files={"file": ("other.wav", file)})
    assert (first.headers["x-overtone-cache"], again.headers["x-overtone-cache"]) == ("miss", "hit")
    assert service.server.host.stats.segments == ran
    assert {**first.json(), "source": "other.wav"} == again.json()
    assert "run;dur" in first.headers["server-timing"]
    assert "run;dur" not in again.headers["server-timing"]
    other = post(service, file=file, params={"granularity": "utterance"})
    assert other.headers["x-overtone-cache"] == "miss"


def test_the_same_audio_at_the_same_time_is_computed_once(service: Running) -> None:
    file, ran = wav(20.0, seed=12), service.server.host.stats.segments
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: post(service, file=file), range(16)))
    assert {answer.status_code for answer in answers} == {200}
    assert sum(answer.headers["x-overtone-cache"] == "miss" for answer in answers) == 1
    assert service.server.host.stats.segments - ran <= 2


def test_many_at_once_are_all_answered_rightly_and_share_batches(service: Running, tiny: EmotionRecognizer) -> None:
    files = [wav(1.0, seed=100 + index) for index in range(40)]
    before = service.server.host.stats
    with ThreadPoolExecutor(40) as pool:
        answers = list(pool.map(lambda file: post(service, file=file).json(), files))
    for file, answer in zip(files[:5], answers, strict=False):
        assert answer["scores"] == pytest.approx(tiny(file).scores, abs=1e-5)
    after = service.server.host.stats
    assert after.segments - before.segments == 40
    assert after.batches - before.batches < 40


# Refusals


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("window=0", "window is 0"),
        ("window=x", "a number of seconds"),
        ("granularity=fine", "utterance, segment, frame"),
        ("max_segment=60", "loaded for 30 s"),
        ("memory=1GiB", "no parameter 'memory'"),
        ("hop=1&hop=2", "given twice"),
        ("embeddings=maybe", "true or false"),
        ("segment=none", "segment=none"),
    ],
)
def test_a_wrong_option_is_told(service: Running, query: str, said: str) -> None:
    assert said in problem(post(service, f"/v1/emotion?{query}"), 400, "usage")


IN_THE_FORM = [("/v1/embeddings", "format"), ("/v1/embeddings", "name"), ("/v1/emotion", "name"), ("/v1/jobs", "name")]


@pytest.mark.parametrize(("path", "field"), IN_THE_FORM)
def test_what_only_the_query_may_say_is_refused_in_the_form(service: Running, path: str, field: str) -> None:
    assert f"{field} goes into the query" in problem(post(service, path, data={field: "npz"}), 400, "usage")


def test_what_is_not_there(service: Running) -> None:
    problem(service.http.get("/v2"), 404, "unknown")
    problem(service.http.get("/v1/emotion"), 405, "method")
    assert "'tiny'" in problem(post(service, params={"model": "huge"}), 404, "unknown")
    for path in ("/v1/jobs/none", "/v1/jobs/none/events", "/v1/jobs/none/result"):
        problem(service.http.get(path), 404, "unknown")
    problem(service.http.delete("/v1/jobs/none"), 404, "unknown")


def test_what_cannot_be_used(service: Running) -> None:
    problem(post(service, file=b"not audio at all" * 100), 415, "not_audio")
    problem(post(service, file=b""), 422, "empty")
    problem(post(service, file=wav(0.001)), 422, "too_short")
    problem(
        service.http.post("/v1/emotion", content=b"x", headers={"Content-Type": "text/plain"}), 415, "unsupported_type"
    )
    problem(service.http.post("/v1/emotion", data={"a": "b"}), 415, "unsupported_type")
    two = [("file", ("a.wav", wav(1.0))), ("file", ("b.wav", wav(1.0)))]
    problem(service.http.post("/v1/emotion", files=two), 400, "bad_request")


def test_every_row_of_the_table_is_a_status_that_there_is() -> None:
    assert {status for status, _ in STATUSES.values()} == {
        *(400, 401, 403, 404, 405, 408, 409, 413, 415, 422, 429, 499, 500, 503, 504)
    }


def test_limits_are_refused_before_they_cost(tmp_path: Path) -> None:
    with serving(tmp_path, max_upload="100KiB", max_audio_s=5.0) as small:
        problem(post(small, file=wav(4.0)), 413, "too_large")
        compressed = io.BytesIO()
        import av

        with av.open(compressed, "w", format="flac") as out:
            stream = out.add_stream("flac", rate=8000, layout="mono")
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 8000 * 60), np.int16), format="s16", layout="mono")
            frame.sample_rate = 8000
            out.mux(stream.encode(frame))
            out.mux(stream.encode(None))
        assert len(compressed.getvalue()) < 50_000
        assert "5 s are the most" in problem(post(small, file=compressed.getvalue()), 413, "too_long")
        assert small.server.host.stats.segments == 0
        assert small.server.spool.held_bytes == 0


def test_a_full_queue_is_told_at_once_with_when_to_come_back(tmp_path: Path) -> None:
    with serving(tmp_path, queue_audio_s=10.0, cache="off") as narrow:
        ticket = narrow.do(lambda: narrow.server.service.admission.admit(None, 12.0, 100.0))
        refused = post(narrow, file=wav(3.0))
        assert "12 s of audio" in problem(refused, 429, "busy")
        assert int(refused.headers["retry-after"]) >= 1
        plan = narrow.http.get("/v1/plan", params={"seconds": 3}).json()
        assert (plan["admitted"], plan["queued_s"]) == (False, 12.0)
        narrow.do(ticket.release)
        assert post(narrow, file=wav(3.0)).status_code == 200
        assert narrow.http.get("/v1/plan", params={"seconds": 3}).json()["admitted"]


def test_what_is_not_answered_in_time_is_given_up(tmp_path: Path) -> None:
    with serving(tmp_path, deadline_s=1.0, cache="off") as hasty:  # a process that decodes is started meanwhile
        stuck = threading.Event()
        backend = hasty.server.host.recognizer.runtime.engine.workers[0].backend
        run, backend.run = backend.run, lambda batch: (stuck.wait(20), run(batch))[1]
        problem(post(hasty, file=wav(2.0)), 504, "deadline")
        stuck.set()
        backend.run = run
        until(lambda: hasty.do(lambda: hasty.server.service.admission.queued_s) == 0)
        assert post(hasty, file=wav(2.0)).status_code == 200


def test_work_of_a_client_that_has_gone_is_not_done(tmp_path: Path) -> None:
    with serving(tmp_path, cache="off") as one:
        backend = one.server.host.recognizer.runtime.engine.workers[0].backend
        begun, go, ran = threading.Event(), threading.Event(), []
        run = backend.run

        def held(batch: Any) -> Any:
            begun.set()
            go.wait(20)
            ran.append(len(batch.waveforms))
            return run(batch)

        backend.run = held
        first = ThreadPoolExecutor(1).submit(post, one, file=wav(2.0, seed=1))
        assert begun.wait(10)
        body = wav(9.0, seed=2)
        for _ in range(5):
            with socket.create_connection(("127.0.0.1", one.http.base_url.port)) as client:
                head = (
                    "POST /v1/emotion HTTP/1.1",
                    "Host: 127.0.0.1",
                    "Content-Type: audio/wav",
                    f"Content-Length: {len(body)}",
                )
                client.sendall("\r\n".join((*head, "", "")).encode() + body)
                until(lambda: one.server.service.admission.queued_s > 5)
            until(lambda: one.server.service.admission.queued_s < 5)
        go.set()
        assert first.result().status_code == 200
        assert ran == [1]
        assert one.server.spool.held_bytes == 0


# Keys


def protected(service: Running) -> list[tuple[str, str]]:
    """Method and address of every route that needs a key, with an id that is none."""
    paths = service.http.get("/openapi.json").json()["paths"]
    routes = [
        (method.upper(), path.replace("{id}", "no-id"))
        for path, operations in paths.items()
        for method in operations
        if path not in ("/healthz", "/readyz")
    ]
    assert len(routes) > 10
    return routes


def test_many_requests_come_over_one_connection(service: Running) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", int(service.url.rsplit(":", 1)[1]), timeout=60)
    with contextlib.closing(connection):
        connection.connect()
        first = connection.sock
        for at in range(20):
            connection.request("GET", ("/healthz", "/v1/models", "/readyz", "/v1/nothing")[at % 4])
            answer = connection.getresponse()
            answer.read()
            assert answer.getheader("connection") is None
            assert connection.sock is first
        for at in range(3):
            connection.request("POST", "/v1/emotion", wav(0.5, at), {"Content-Type": "audio/wav"})
            assert connection.getresponse().read().startswith(b"{")
            assert connection.sock is first


def test_a_connection_with_a_body_that_was_not_read_is_closed(service: Running) -> None:
    """What is left of it would be taken for the next request."""
    with socket.create_connection(("127.0.0.1", int(service.url.rsplit(":", 1)[1]))) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5\r\n\r\n")
        connection.settimeout(30)
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"connection: close" in answer


def test_keys_let_in_their_owners_alone(tmp_path: Path) -> None:
    keys = tmp_path / "keys.json"
    alice, bob = add_key(keys, "alice"), add_key(keys, "bob", 5.0)
    with serving(tmp_path, keys=str(keys)) as closed:
        problem(post(closed), 401, "unauthorized")
        assert post(closed).headers["www-authenticate"] == "Bearer"
        problem(post(closed, headers={"Authorization": "Bearer ot_wrong"}), 401, "unauthorized")
        for path in ("/metrics", "/v1/models", "/v1/plan?seconds=1"):
            assert closed.http.get(path).status_code == 401
        for method, path in protected(closed):
            # Whoever has no key does not hear what is wrong with the rest of the request either.
            asked = closed.http.request(method, path, params={"seconds": "x", "format": "x", "y": "x"}, content=b"x")
            assert asked.status_code == 401, (method, path)
        assert closed.http.get("/healthz").status_code == closed.http.get("/readyz").status_code == 200
        as_alice, as_bob = ({"Authorization": f"Bearer {key}"} for key in (alice, bob))
        assert post(closed, headers=as_alice).status_code == 200
        held = closed.do(lambda: closed.server.service.admission.admit("bob", 6.0, 100.0))
        assert "of this key" in problem(post(closed, file=wav(2.0), headers=as_bob), 429, "busy")
        assert post(closed, file=wav(2.5), headers=as_alice).status_code == 200
        closed.do(held.release)
        job = post(closed, "/v1/jobs", headers=as_alice).json()
        problem(closed.http.get(job["links"]["self"], headers=as_bob), 404, "unknown")
        assert closed.http.get(job["links"]["self"], headers=as_alice).status_code == 200
        assert alice not in post(closed, headers=as_alice).text


# Jobs


def finished(service: Running, job: dict[str, Any]) -> dict[str, Any]:
    until(lambda: service.http.get(job["links"]["self"]).json()["state"] in ("done", "failed"))
    return dict(service.http.get(job["links"]["self"]).json())


def test_a_job_of_several_files_gives_their_records_in_order(service: Running) -> None:
    files = [
        ("file", ("a.wav", wav(2.0, 7))),
        ("file", ("b.txt", b"no audio" * 20)),
        ("file", ("c.mp3", CALL.read_bytes())),
    ]
    answer = service.http.post("/v1/jobs", files=files, params={"granularity": "utterance"})
    assert answer.status_code == 202
    job = answer.json()
    assert answer.headers["location"] == job["links"]["self"]
    done = finished(service, job)
    assert (done["state"], done["files"]["done"], done["files"]["failed"]) == ("done", 2, 1)
    assert done["seconds"]["done"] == done["seconds"]["total"] > 50
    assert [file["name"] for file in done["inputs"]] == ["a.wav", "b.txt", "c.mp3"]
    records = [json.loads(line) for line in service.http.get(job["links"]["result"]).text.splitlines()]
    assert [record["source"] for record in records] == ["a.wav", "b.txt", "c.mp3"]
    assert records[1]["error"]["code"] == "not_audio"
    live = post(service, params={"granularity": "utterance"}).json()
    assert records[2]["scores"] == pytest.approx(live["scores"], abs=1e-5)


def test_results_come_as_parquet_too(service: Running) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    for granularity in ("utterance", "segment", "frame"):
        job = post(service, "/v1/jobs", file=SAD.read_bytes(), params={"granularity": granularity}).json()
        finished(service, job)
        answer = service.http.get(job["links"]["result"], params={"format": "parquet"})
        assert answer.headers["x-overtone-job"] == "done"
        rows = parquet.read_table(io.BytesIO(answer.content)).to_pylist()
        assert {row["source"] for row in rows} == {"call.mp3"}
        assert len(rows) >= (400 if granularity == "frame" else 1)


def test_events_tell_of_progress_and_of_the_end(service: Running) -> None:
    job = post(service, "/v1/jobs", file=wav(30.0, 8)).json()
    with service.http.stream("GET", job["links"]["events"]) as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        text = "".join(stream.iter_text())
    events = [event.splitlines() for event in text.strip().split("\n\n")]
    assert [lines[0] for lines in events][-1] == "event: end"
    states = [json.loads(lines[1].removeprefix("data: "))["state"] for lines in events]
    assert states[-1] == "done"
    assert json.loads(events[-2][1].removeprefix("data: "))["seconds"]["done"] == 30.0


def test_a_cancelled_job_leaves_nothing(service: Running) -> None:
    job = service.http.post("/v1/jobs", files=[("file", (f"{i}.wav", wav(60.0, 50 + i))) for i in range(6)]).json()
    assert service.http.delete(job["links"]["self"]).status_code == 204
    assert not (service.server.settings.jobs_folder / job["id"]).exists()
    assert service.http.get(job["links"]["self"]).json()["state"] == "cancelled"
    problem(service.http.get(job["links"]["result"]), 404, "unknown")
    until(lambda: not service.server.jobs._files._callers)
    assert not (service.server.settings.jobs_folder / job["id"]).exists()


def test_a_job_may_be_longer_than_what_is_answered_at_once(tmp_path: Path) -> None:
    with serving(tmp_path, max_audio_s=5.0, max_job_audio_s=20.0) as short:
        problem(post(short, file=wav(10.0)), 413, "too_long")
        good, bad = (post(short, "/v1/jobs", file=wav(seconds)).json() for seconds in (10.0, 30.0))
        assert finished(short, good)["state"] == "done"
        assert finished(short, bad)["state"] == "failed"
        record = json.loads(short.http.get(bad["links"]["result"]).text)
        assert record["error"]["code"] == "too_long"


def test_jobs_wait_for_whoever_waits(tmp_path: Path) -> None:
    with serving(tmp_path, cache="off") as busy:
        long = post(busy, "/v1/jobs", file=wav(600.0, 3), params={"segment": "window", "window": 5}).json()
        until(lambda: busy.http.get(long["links"]["self"]).json()["state"] == "running")
        for index in range(5):
            assert post(busy, file=wav(1.0, 200 + index)).status_code == 200
        state = busy.http.get(long["links"]["self"]).json()
        assert state["state"] == "running"  # they did not wait for ten minutes of another's
        assert busy.http.delete(long["links"]["self"]).status_code == 204


def test_a_job_goes_on_where_it_was_after_a_restart(tmp_path: Path) -> None:
    file = wav(250.0, 4)
    query = {"segment": "window", "window": 5, "keep_silence": "true"}
    with serving(tmp_path) as first:
        job = post(first, "/v1/jobs", file=file, params=query).json()
        until(lambda: first.server.host.stats.segments > 10)
        ran = first.server.host.stats.segments
    with serving(tmp_path) as second:
        assert finished(second, job)["state"] == "done"
        # The one that had just been run when the first ended may not have been kept any more.
        assert second.server.host.stats.segments <= 50 - (ran - 1)
        record = json.loads(second.http.get(job["links"]["result"]).text)
        assert len(record["segments"]) == 50
        assert "parts were answered before" in record["timings"]["notes"]
        whole = post(second, file=file, params=query).json()
        assert record["scores"] == pytest.approx(whole["scores"], abs=1e-5)


# Of itself


def test_what_it_says_of_itself(service: Running) -> None:
    (model,) = service.http.get("/v1/models").json()["models"]
    assert (model["id"], model["dim"], len(model["labels"])) == ("tiny", 128, 7)
    assert len(model["fingerprint"]) == 64
    assert service.http.get("/readyz").json() == {
        "ready": True,
        "reason": None,
        "state": "ready",
        "restarts": 0,
        "cache": "healthy",
    }
    plan = service.http.get("/v1/plan", params={"seconds": 100}).json()
    assert plan["admitted"]
    assert 0 < plan["run_s"] < 100
    assert plan["memory"]["planned_bytes"] <= plan["memory"]["budget_bytes"]
    assert not service.http.get("/v1/plan", params={"seconds": 5000}).json()["admitted"]
    problem(service.http.get("/v1/plan", params={"seconds": -1}), 400, "usage")
    assert "overtone_ready 1.0" in service.http.get("/metrics").text


def test_a_request_may_bring_its_id(service: Running) -> None:
    assert service.http.get("/healthz", headers={"X-Request-Id": "mine-7"}).headers["x-request-id"] == "mine-7"
    assert service.http.get("/healthz", headers={"X-Request-Id": "a b\tc"}).headers["x-request-id"] != "a b\tc"


def test_pages_of_others_may_call_it_only_where_they_are_named(service: Running, tmp_path: Path) -> None:
    theirs = {"Origin": "https://elsewhere.example"}
    assert "access-control-allow-origin" not in service.http.get("/healthz", headers=theirs).headers
    with serving(tmp_path, cors="https://elsewhere.example") as shared:
        allowed = shared.http.get("/healthz", headers=theirs).headers
        assert allowed["access-control-allow-origin"] == "https://elsewhere.example"
        other = shared.http.get("/healthz", headers={"Origin": "https://other.example"}).headers
        assert "access-control-allow-origin" not in other


# Pages of others


@pytest.mark.parametrize(
    ("headers", "refused"),
    [
        ({"Host": "evil.example"}, True),  # a name that was made to mean 127.0.0.1
        ({"Host": "localhost:1"}, False),
        ({"Host": "[::1]:8765"}, False),
        ({"Host": "[broken"}, True),
        ({"Origin": "https://evil.example"}, True),
        ({"Origin": "null"}, True),
    ],
)
def test_a_browser_reaches_it_only_from_its_own_pages(service: Running, headers: dict[str, str], refused: bool) -> None:
    answer = service.http.get("/v1/models", headers=headers)
    if refused:
        problem(answer, 403, "foreign")
    else:
        assert answer.status_code == 200
    own = str(service.http.base_url).rstrip("/")
    assert service.http.get("/v1/models", headers={"Origin": own}).status_code == 200


# What somebody else's request leaves


def test_who_joins_anothers_request_is_not_touched_by_how_that_ends(tmp_path: Path) -> None:
    with serving(tmp_path) as one:
        backend = one.server.host.recognizer.runtime.engine.workers[0].backend
        begun, go = threading.Event(), threading.Event()
        run = backend.run

        def held(batch: Any) -> Any:
            begun.set()
            assert go.wait(20)
            return run(batch)

        backend.run = held
        body = b"not audio " * 100
        first = ThreadPoolExecutor(1).submit(post, one, file=wav(1.0, 1))
        assert begun.wait(10)
        names = ["alice-secret.wav", "bob.wav"]
        with ThreadPoolExecutor(2) as pool:
            said = list(
                pool.map(lambda n: one.http.post("/v1/emotion", files={"file": (n, body)}).json()["detail"], names)
            )
        assert [detail.startswith(name) for detail, name in zip(said, names, strict=True)] == [True, True]
        go.set()
        assert first.result().status_code == 200


def test_what_is_run_is_what_is_let_in(service: Running) -> None:
    refused = problem(post(service, params={"segment": "window", "window": 20, "hop": 0.1}), 400, "usage")
    assert "heard 200 times" in refused
    assert post(service, params={"segment": "window", "window": 4, "hop": 1}).status_code == 200


def test_a_fault_is_told_as_a_problem(tmp_path: Path) -> None:
    with serving(tmp_path) as broken:

        def fault(*_: Any) -> None:
            raise ZeroDivisionError("secret")

        broken.server.service.reserve = fault  # type: ignore[method-assign]
        assert "secret" not in problem(post(broken), 500, "fault")
        assert 'overtone_refused_total{code="fault"} 1.0' in broken.http.get("/metrics").text


def test_a_job_that_meets_a_fault_each_time_is_given_up_and_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from overtone.server.jobs import runner

    monkeypatch.setattr(runner, "_AFTER_FAULT_S", 0.05)
    with serving(tmp_path) as one:
        answered = one.server.jobs._files._answered

        async def faulty(recognizer: Any, claim: Any, call: Any) -> Any:
            if claim.file.name == "bad.wav":
                raise ZeroDivisionError("a bug")
            return await answered(recognizer, claim, call)

        one.server.jobs._files._answered = faulty  # type: ignore[method-assign]
        bad, good = (
            one.http.post("/v1/jobs", files={"file": (name, wav(1.0, 5))}).json() for name in ("bad.wav", "good.wav")
        )
        assert finished(one, good)["state"] == "done"
        assert finished(one, bad)["state"] == "failed"
        record = json.loads(one.http.get(bad["links"]["result"]).text)
        assert record["error"]["code"] == "gave_up"
