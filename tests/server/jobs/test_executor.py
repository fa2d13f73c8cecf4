"""Files of jobs that meet a full disk, or a model that dies: what is recorded, what waits, and who is blamed."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest

from helpers.server.running import Running, serving
from helpers.server.sounds import clip
from helpers.waiting import until
from overtone.server.api import jobs as routes
from overtone.server.jobs import executor
from overtone.server.jobs.executor import MOST_ATTEMPTS
from overtone.system.temporary_files import temporary_file_error


def hand_in(service: Running, *names: str) -> dict[str, Any]:
    files = [("file", (name, clip(number, 0.5))) for number, name in enumerate(names)]
    answer = service.http.post("/v1/jobs", files=files)
    assert answer.status_code == 202, answer.text
    return dict(answer.json())


def finished(service: Running, job: dict[str, Any]) -> dict[str, Any]:
    def look() -> Any:
        now = service.http.get(job["links"]["self"]).json()
        return now["state"] in ("done", "failed") and now

    return dict(until(look, "it is finished"))


class Disk:
    """Makes files of one name find no room among the temporary files; `full` says whether others find none either."""

    def __init__(self, service: Running, monkeypatch: pytest.MonkeyPatch) -> None:
        self.full = True
        self.tries = self.looks = 0
        self._answered = service.server.jobs._files._answered
        monkeypatch.setattr(service.server.jobs._files, "_answered", self._fail_or_answer)
        monkeypatch.setattr(executor, "temporary_storage_problem", self._problem)
        monkeypatch.setattr(executor, "_LOOK_S", 0.01)

    async def _fail_or_answer(self, recognizer: Any, claim: Any, call: Any) -> Any:
        if claim.file.name == "big.wav":
            self.tries += 1
            raise temporary_file_error(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
        return await self._answered(recognizer, claim, call)

    def _problem(self) -> str | None:
        self.looks += 1
        return "has no space" if self.full else None


def test_a_file_waits_for_a_full_disk_and_one_too_large_for_it_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(tmp_path) as service:
        disk = Disk(service, monkeypatch)
        job = hand_in(service, "big.wav", "small.wav")
        until(lambda: disk.looks > 3 * MOST_ATTEMPTS, "the disk is looked at")
        assert disk.tries == 1
        inputs = service.http.get(job["links"]["self"]).json()["inputs"]
        assert inputs[0]["state"] == "running"
        disk.full = False
        assert [file["state"] for file in finished(service, job)["inputs"]] == ["failed", "done"]
        assert disk.tries == 1 + MOST_ATTEMPTS  # the first one counts for nothing
        big, small = (json.loads(line) for line in service.http.get(job["links"]["result"]).text.splitlines())
        assert (big["error"]["code"], small["error"]) == ("no_space", None)
        assert "TMPDIR" not in big["error"]["message"]  # which is for whoever runs the service, as is the folder
        monkeypatch.setattr(service.server.jobs._files, "_answered", disk._answered)
        assert service.http.post(f"/v1/jobs/{job['id']}/retry").status_code == 202
        assert [file["state"] for file in finished(service, job)["inputs"]] == ["done", "done"]
        file = service.server.store.repository.file(job["id"], 0)
        assert file is not None
        assert file.attempts == 0


def test_a_job_that_comes_in_while_the_model_dies_is_answered_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its upload is there, and what would read its header is gone with the model."""
    read = routes.claimed
    died: list[str] = []

    def claimed(pipeline: Any, path: Path, name: str, size_bytes: int) -> Any:
        if not died:
            died.append(name)
            pipeline.close(drain=False)
        return read(pipeline, path, name, size_bytes)

    monkeypatch.setattr(routes, "claimed", claimed)
    with serving(tmp_path) as service:
        job = hand_in(service, "a.wav", "b.wav")
        assert [file["state"] for file in finished(service, job)["inputs"]] == ["done", "done"]
        assert died == ["a.wav"]
        assert service.server.host.restarts == 1
