"""A model that dies, and inputs that it fails on: what clients, jobs and balancers see of it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from helpers.server.failing_service import DEADLY, POISONED
from helpers.server.serving_process import ServiceProcess, serving
from helpers.server.sounds import clip
from helpers.waiting import until

DEATH = clip(1, peak=(DEADLY + POISONED) / 2)
POISON = clip(2, peak=0.999)


@pytest.fixture
def service(tmp_path: Path) -> Iterator[ServiceProcess]:
    with ServiceProcess(tmp_path, failing=True) as running:
        yield running


def refused(answer: httpx.Response) -> None:
    """Whoever asks is told to come back."""
    assert answer.status_code == 503, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["status"] == 503
    assert int(answer.headers["retry-after"]) >= 1


def test_a_model_that_dies_is_started_anew_once(service: ServiceProcess) -> None:
    good = clip(10)
    before = service.post("/v1/emotion", good).json()
    with service.held("hold-start"):
        refused(service.post("/v1/emotion", DEATH))  # its own fault, and it is told what all are told
        until(lambda: service.get("/readyz").status_code == 503, "it says that it is not ready")
        # That its thread is gone is seen at once; that it is started anew, at the next look.
        until(lambda: service.get("/readyz").json()["restarts"] == 1, "it is being started anew")
        said = service.get("/readyz").json()
        assert said["ready"] is False
        refused(service.post("/v1/emotion", clip(11)))
        refused(service.post("/v1/emotion", good))  # what is kept could be told, but not by whom
        refused(service.post("/v1/embeddings", clip(11), params={"format": "npz"}))
        refused(service.post("/v1/jobs", clip(11)))
        refused(service.get("/v1/models"))
        assert service.get("/healthz").status_code == 200
        assert service.metrics()["overtone_ready"] == 0
    until(lambda: service.get("/readyz").status_code == 200, "it is ready again")
    assert service.get("/readyz").json()["restarts"] == 1
    assert service.metrics()["overtone_restarts_total"] == 1
    again = service.post("/v1/emotion", clip(10, seconds=1.5))
    assert again.status_code == 200, again.text
    assert service.post("/v1/emotion", good).json()["scores"] == before["scores"]
    assert service.queued_s() == 0

    answer = service.post("/v1/emotion", DEATH)
    assert answer.status_code == 503
    assert service.wait() not in (0, -6, -9, -11)
    assert "the model died, and again" in service.log()
    assert "Traceback" not in service.log()


def test_who_waits_when_it_dies_is_told_at_once(service: ServiceProcess) -> None:
    """Also those whose audio the dead thread would never have taken."""
    with ThreadPoolExecutor(20) as pool, service.held("hold-start"):
        with service.held():
            dying = pool.submit(service.post, "/v1/emotion", DEATH)
            until(lambda: service.queued_s() >= 1, "it is under way")
            others = [pool.submit(service.post, "/v1/emotion", clip(20 + i)) for i in range(12)]
            until(lambda: service.queued_s() >= 13, "all are under way")
        for answer in (dying, *others):
            refused(answer.result())
    until(lambda: service.get("/readyz").status_code == 200, "it is ready again")
    assert service.post("/v1/emotion", clip(20)).status_code == 200


def test_jobs_outlive_it(service: ServiceProcess) -> None:
    """Those that run when it dies, and those that wait; only what kills it each time is given up."""
    with service.held():
        good = [service.post("/v1/jobs", clip(30 + i), params={"name": f"{i}.wav"}).json()["id"] for i in range(4)]
        until(lambda: service.job(good[0])["state"] == "running", "the first one runs")
        threading.Thread(target=service.post, args=("/v1/emotion", DEATH)).start()
        until(lambda: service.queued_s() >= 1, "death is under way")
    until(lambda: service.get("/readyz").json()["restarts"] == 1, "it was started anew")
    for number, id in enumerate(good):
        assert service.finished(id)["state"] == "done"
        (record,) = service.records(id)
        assert record["error"] is None
        assert record["source"] == f"{number}.wav"
    # Nothing of it was begun so often that a few more deaths of others would end it.
    assert service.metrics()['overtone_jobs{state="failed"}'] == 0


@pytest.mark.slow
def test_a_file_that_kills_it_is_given_up_before_it_takes_all_down(tmp_path: Path) -> None:
    """A job is begun again by every process after the one that it killed; there is an end to that."""
    with ServiceProcess(tmp_path, failing=True) as first:
        deadly = first.post("/v1/jobs", DEATH).json()["id"]
        assert first.wait() not in (0, -6, -9, -11)
        assert "the model died, and again" in first.log()
    for _ in range(3):
        with ServiceProcess(tmp_path, failing=True) as later:
            try:
                job = later.finished(deadly, within_s=30)
            except (httpx.HTTPError, AssertionError):
                later.wait()
                continue
            assert job["state"] == "failed"
            (record,) = later.records(deadly)
            assert record["error"]["code"] in ("died", "gave_up")
            later.post("/v1/emotion", clip(40))
            assert later.get("/readyz").status_code == 200
            return
    raise AssertionError("it was never given up")


def test_a_poisoned_input_harms_itself_alone(tmp_path: Path) -> None:
    with serving(tmp_path, failing=True) as service, ThreadPoolExecutor(20) as pool:
        alone = {seed: service.post("/v1/emotion", clip(seed)).json()["scores"] for seed in (50, 51)}
        with service.held():
            first = pool.submit(service.post, "/v1/emotion", clip(52))
            until(lambda: service.queued_s() >= 1, "it is under way, and all others wait behind it")
            poisoned = pool.submit(service.post, "/v1/emotion", POISON)
            others = {
                seed: pool.submit(service.post, "/v1/emotion", clip(seed), params={"name": "again", "embeddings": True})
                for seed in (50, 51, 53, 54, 55)
            }
            until(lambda: service.metrics()["overtone_queue_bytes"] >= 7 * 64_000, "all are decoded")
        assert first.result().status_code == 200
        for seed, answer in others.items():
            assert answer.result().status_code == 200, answer.result().text
            scores = answer.result().json()["scores"]
            assert scores == pytest.approx(alone.get(seed, scores), abs=2e-6)
        # It was in one batch with others, or this says nothing.
        assert max(service.batches()) >= 3
        harmed = poisoned.result()
        assert harmed.status_code >= 400
        assert harmed.headers["content-type"] == "application/problem+json"
        assert service.get("/readyz").status_code == 200
        assert service.get("/readyz").json()["restarts"] == 0
        assert service.queued_s() == 0


def test_a_poisoned_file_of_a_job_ends_with_an_error(tmp_path: Path) -> None:
    with serving(tmp_path, failing=True) as service:
        poisoned = service.post("/v1/jobs", POISON).json()["id"]
        good = service.post("/v1/jobs", clip(60)).json()["id"]
        assert service.finished(good)["state"] == "done"
        assert service.finished(poisoned)["state"] == "failed"
        (record,) = service.records(poisoned)
        assert record["error"]["message"]
        assert "scores" not in record
