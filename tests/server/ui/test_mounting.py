"""The page as a part of the service, which stays what it is."""

from __future__ import annotations

import importlib.util
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers.server.page import needs_gradio
from helpers.server.running import Running, serving
from overtone.errors import UsageError
from overtone.server.auth import add_key, remove_key
from overtone.server.ui import gate, mount
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
    pieces = iter([b"0" * MOST_BYTES, b"0"])  # so that no length is announced
    refused = service.http.post("/gradio_api/queue/join", content=pieces)
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


def test_a_heartbeat_is_for_who_signed_in(tmp_path: Path) -> None:
    needs_gradio()
    keys = tmp_path / "keys.json"
    key = add_key(keys, "alice")
    beat = "/gradio_api/heartbeat/abc123"
    with serving(tmp_path, page=True, keys=str(keys)) as closed:
        refused = closed.http.get(beat)
        assert (refused.status_code, refused.json()["code"]) == (401, "unauthorized")
        assert closed.http.get("/gradio_api/queue/data", params={"session_hash": "abc123"}).status_code == 401
        signed = closed.http.post("/login", data={"username": "alice", "password": key})
        assert signed.status_code == 200
        closed.http.cookies.update({name: value for name, value in signed.cookies.items() if "unsecure" in name})
        with closed.http.stream("GET", beat) as answer:
            assert answer.status_code == 200
            assert next(answer.iter_text()).startswith("data: ALIVE")
        remove_key(keys, "alice")
        assert closed.http.get(beat).status_code == 401


def test_a_message_that_trickles_is_given_up(service: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "MOST_S", 0.2)
    with socket.create_connection(("127.0.0.1", int(service.url.rsplit(":", 1)[1]))) as connection:
        connection.settimeout(30)
        connection.sendall(b"POST /gradio_api/queue/join HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9\r\n\r\n{")
        assert connection.recv(4096).startswith(b"HTTP/1.1 408 ")
