"""The page as a part of the service, which stays what it is."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers.server.page import needs_gradio
from helpers.server.running import Running, serving
from overtone.errors import UsageError
from overtone.server.ui import mount
from overtone.server.ui.gate import MOST_BYTES


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    needs_gradio()
    with serving(tmp_path_factory.mktemp("page"), page=True, max_upload="1MiB") as running:
        yield running


def test_the_page_is_at_the_root_and_everything_else_stays_the_services(service: Running) -> None:
    page = service.http.get("/")
    assert page.status_code == 200
    assert "gradio_config" in page.text
    assert "default-src 'self'" in page.headers["content-security-policy"]
    assert not re.search(r"(?:src|href)=.https?://", page.text)
    for path in ("/healthz", "/readyz", "/metrics", "/openapi.json", "/v1/models"):
        assert service.http.get(path).status_code == 200, path
    assert service.http.get("/v1/emotion").status_code == 405
    for path in ("/nothing", "/gradio_api/file=/etc/passwd", "/gradio_api/upload"):
        refused = service.http.get(path)
        assert (refused.status_code, refused.json()["code"]) == (404, "unknown"), path
    assert "/page" not in service.http.get("/openapi.json").text


def test_bodies_of_messages_are_bounded(service: Running) -> None:
    refused = service.http.post("/gradio_api/queue/join", content=b"0" * (MOST_BYTES + 1))
    assert (refused.status_code, refused.json()["code"]) == (413, "too_large")


def test_gradio_leaves_no_folder_of_its_own(tmp_path: Path) -> None:
    needs_gradio()
    code = """
import asyncio, os, tempfile
from overtone.options.emotion import Options
from overtone.server.app import create_app
from overtone.server.state import Server, load_models
from overtone.server.settings import Settings
from overtone.server.ui import mount, spoken

async def main():
    settings = Settings(jobs=os.environ["TMPDIR"] + "/jobs")
    server = Server(settings, load_models(Options(), settings))
    mount(create_app(server), server)
    await server.close()

asyncio.run(main())
"""
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, env=environment, cwd=tmp_path)
    assert not [path for path in tmp_path.rglob("*") if "gradio" in path.name or "vibe" in path.name]


def test_nobody_uploads_or_downloads_without_a_ticket(service: Running) -> None:
    for response in (
        service.http.post("/page/guessed/1/0", content=b"audio", headers={"Content-Type": "audio/wav"}),
        service.http.get("/page/guessed/results/all.json"),
    ):
        assert (response.status_code, response.json()["code"]) == (404, "unknown")


def test_without_gradio_the_page_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"pip install 'overtone\[ui\]'"):
        mount(None, None)  # type: ignore[arg-type]


def test_importing_the_page_imports_no_gradio() -> None:
    code = "import sys, overtone.server.ui; assert 'gradio' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
