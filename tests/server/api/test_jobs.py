"""Jobs over HTTP: handed in once however often they are sent, listed, and run again where they were given up."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from helpers.server.running import Running, serving
from helpers.server.sounds import clip
from helpers.waiting import until
from overtone.server.auth import add_key
from overtone.server.jobs.executor import MOST_ATTEMPTS

KEY = '"8e03978e-40d5-43dd-bc93-6894a57f9324"'


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with serving(tmp_path_factory.mktemp("service")) as running:
        yield running


def hand_in(service: Running, key: str | None = None, file: bytes = clip(1, 0.5), **more: Any) -> httpx.Response:
    headers = {**more.pop("headers", {}), **({} if key is None else {"Idempotency-Key": key})}
    return service.http.post("/v1/jobs", files={"file": (more.pop("name", "a.wav"), file)}, headers=headers, **more)


def finished(service: Running, job: dict[str, Any]) -> dict[str, Any]:
    found = until(
        lambda: (now := service.http.get(job["links"]["self"]).json())["state"] in ("done", "failed") and now,
        "it is finished",
    )
    return dict(found)


def problem(answer: httpx.Response, status: int, code: str) -> str:
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    return str(answer.json()["detail"])


def test_a_request_sent_again_is_the_same_job(service: Running) -> None:
    first = hand_in(service, KEY)
    again = hand_in(service, KEY.strip('"'))
    assert first.status_code == again.status_code == 202
    assert first.json()["id"] == again.json()["id"]
    assert first.headers["location"] == again.headers["location"]
    done = finished(service, first.json())
    assert hand_in(service, KEY).json()["state"] == done["state"] == "done"
    # Without a key, or with another, it is another job.
    others = {hand_in(service, key).json()["id"] for key in (None, None, '"other"')}
    assert len(others | {done["id"]}) == 4
    assert service.server.spool.held_bytes == 0


def test_a_key_with_something_else_is_refused_and_makes_no_job(service: Running) -> None:
    first = hand_in(service, '"mine"').json()["id"]
    jobs = service.http.get("/v1/jobs").json()["jobs"]
    for other in (
        {"file": clip(2, 0.5)},
        {"name": "b.wav"},
        {"params": {"granularity": "utterance"}},
        {"data": {"embeddings": "true"}},
    ):
        assert first in problem(hand_in(service, '"mine"', **other), 422, "key_reused")
    assert [job["id"] for job in service.http.get("/v1/jobs").json()["jobs"]] == [job["id"] for job in jobs]
    assert hand_in(service, '"mine"').json()["id"] == first


def test_a_key_that_is_none_is_refused(service: Running) -> None:
    assert "malformed" in problem(hand_in(service, "a b"), 400, "usage")


def test_a_key_whose_first_request_is_still_being_received(service: Running) -> None:
    head = (
        f'POST /v1/jobs HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: audio/wav\r\nIdempotency-Key: {KEY[:-1]}-slow"\r\n'
    )
    file = clip(3, 0.5)
    address = service.http.base_url
    with socket.create_connection((address.host, address.port)) as slow:
        slow.sendall(f"{head}Content-Length: {len(file)}\r\n\r\n".encode() + file[:100])
        until(lambda: service.server.jobs._receiving, "it is being received")
        again = hand_in(service, f'{KEY[:-1]}-slow"')
        problem(again, 409, "conflict")
        assert int(again.headers["retry-after"]) >= 1
        slow.sendall(file[100:])
        assert slow.recv(100).startswith(b"HTTP/1.1 202")
    assert service.server.jobs._receiving == set()
    # One that broke off is none.
    with socket.create_connection((address.host, address.port)) as gone:
        gone.sendall(head.replace("-slow", "-gone").encode() + b"Content-Length: 1000\r\n\r\nRIFF")
        until(lambda: service.server.jobs._receiving, "it is being received")
    until(lambda: not service.server.jobs._receiving, "its client is gone")
    assert hand_in(service, f'{KEY[:-1]}-gone"').status_code == 202


def test_a_key_and_a_list_are_of_one_owner(tmp_path: Path) -> None:
    keys = tmp_path / "keys.json"
    alice, bob = ({"Authorization": f"Bearer {add_key(keys, name)}"} for name in ("alice", "bob"))
    with serving(tmp_path, keys=str(keys)) as closed:
        mine = hand_in(closed, KEY, headers=alice).json()["id"]
        other = hand_in(closed, KEY, headers=bob, file=clip(2, 0.5)).json()["id"]
        assert hand_in(closed, KEY, headers=alice).json()["id"] == mine != other
        for owner, id in ((alice, mine), (bob, other)):
            listed = closed.http.get("/v1/jobs", headers=owner).json()
            assert [job["id"] for job in listed["jobs"]] == [id]
            assert listed["next"] is None
        problem(closed.http.get("/v1/jobs"), 401, "unauthorized")
        problem(closed.http.get("/v1/jobs", params={"cursor": mine}, headers=bob), 400, "usage")
        problem(closed.http.post(f"/v1/jobs/{mine}/retry", headers=bob), 404, "unknown")


def test_a_key_is_kept_over_a_restart_and_needs_no_room(tmp_path: Path) -> None:
    with serving(tmp_path) as first:
        id = hand_in(first, KEY).json()["id"]
    with serving(tmp_path, jobs_size="1KiB") as second:
        problem(hand_in(second, '"other"'), 503, "no_space")
        assert hand_in(second, KEY).json()["id"] == id


def test_jobs_are_listed_in_pages_the_newest_first(service: Running) -> None:
    ids = [hand_in(service, file=clip(10 + number, 0.5)).json()["id"] for number in range(5)]
    seen: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = service.http.get("/v1/jobs", params={"limit": 2, **cursor}).json()
        assert 1 <= len(page["jobs"]) <= 2
        seen += [job["id"] for job in page["jobs"]]
        if page["next"] is None:
            break
        cursor = {"cursor": page["next"]}
    assert seen[:5] == ids[::-1]
    assert len(seen) == len(set(seen))
    whole = service.http.get("/v1/jobs", params={"limit": 100}).json()
    assert [job["id"] for job in whole["jobs"]] == seen
    last = finished(service, whole["jobs"][0])
    del last["inputs"]
    assert service.http.get("/v1/jobs", params={"limit": 1}).json()["jobs"] == [last]


@pytest.mark.parametrize("wrong", [{"limit": 0}, {"limit": 101}, {"limit": "x"}, {"cursor": "x"}, {"cursor": "0" * 32}])
def test_a_list_that_cannot_be_asked_for(service: Running, wrong: dict[str, Any]) -> None:
    problem(service.http.get("/v1/jobs", params=wrong), 400, "usage")


def test_what_was_given_up_keeps_its_audio_and_is_run_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from overtone.server.jobs import runner

    monkeypatch.setattr(runner, "_AFTER_FAULT_S", 0.02)
    with serving(tmp_path) as one:
        answered = one.server.jobs._files._answered
        starts = []

        async def faulty(recognizer: Any, claim: Any, call: Any) -> Any:
            if claim.file.name == "bad.wav" and len(starts) < MOST_ATTEMPTS:
                starts.append(claim.file.starts)
                raise ZeroDivisionError("a bug")
            return await answered(recognizer, claim, call)

        one.server.jobs._files._answered = faulty  # type: ignore[method-assign]
        names = ("good.wav", "bad.wav", "noise.wav")
        files = [("file", (name, b"noise" if name == "noise.wav" else clip(5, 0.5))) for name in names]
        job = finished(one, one.http.post("/v1/jobs", files=files).json())
        assert [file["state"] for file in job["inputs"]] == ["done", "failed", "failed"]
        assert [file["retryable"] for file in job["inputs"]] == [False, True, False]
        good, bad, noise = (json.loads(line) for line in one.http.get(job["links"]["result"]).text.splitlines())
        assert bad["error"]["code"] == "gave_up"
        assert f"POST /v1/jobs/{job['id']}/retry" in bad["error"]["message"]

        again = one.http.post(f"/v1/jobs/{job['id']}/retry")
        assert (again.status_code, again.headers["location"]) == (202, job["links"]["self"])
        assert (again.json()["id"], again.json()["expires"]) == (job["id"], None)
        after = finished(one, job)
        assert [file["state"] for file in after["inputs"]] == ["done", "done", "failed"]
        now = [json.loads(line) for line in one.http.get(job["links"]["result"]).text.splitlines()]
        assert (now[0], now[2]) == (good, noise)
        assert (now[1]["source"], now[1]["error"], now[1]["scores"]) == ("bad.wav", None, good["scores"])
        problem(one.http.post(f"/v1/jobs/{job['id']}/retry"), 409, "conflict")
        problem(one.http.post("/v1/jobs/none/retry"), 404, "unknown")
        assert one.http.delete(job["links"]["self"]).status_code == 204
        problem(one.http.post(f"/v1/jobs/{job['id']}/retry"), 409, "conflict")


def test_a_result_that_is_gone_from_the_disk_is_a_refusal_and_one_that_goes_meanwhile_is_cut_off(
    service: Running, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    files = [("file", (name, clip(number, 0.5))) for number, name in enumerate(("a.wav", "b.wav"))]
    job = finished(service, service.http.post("/v1/jobs", files=files).json())
    result = job["links"]["result"]
    store = service.server.store
    record = store.record(job["id"], 1)
    assert record is not None
    content = record.read_bytes()
    record.unlink()
    for params in ({}, {"format": "csv"}, {"file": "1"}):
        assert "file 1" in problem(service.http.get(result, params=params), 404, "unknown")
    assert service.http.get(result, params={"file": "0"}).status_code == 200
    record.write_bytes(content)
    read = type(store)._read

    def going(self: Any, id: str, numbers: Any) -> Any:
        record.unlink(missing_ok=True)
        return read(self, id, numbers)

    monkeypatch.setattr(type(store), "_read", going)
    caplog.clear()
    with pytest.raises(httpx.RemoteProtocolError):
        service.http.get(result)
    until(lambda: "cut off" in caplog.text, "the log says so")
    assert "Traceback" not in caplog.text
    assert "a fault of the service" not in caplog.text
