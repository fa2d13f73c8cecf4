"""The example clients, each run as its page says, against a service."""

from __future__ import annotations

import functools
import http.server
import importlib.util
import json
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest

from helpers.clips import EXAMPLES
from helpers.command import environment, lines
from helpers.server.serving_process import ServiceProcess, serving
from overtone.server.auth import add_key

CLIENTS = EXAMPLES / "client"
CHROMIUM = Path("/usr/bin/chromium")


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ServiceProcess, str]]:
    """A service that asks for keys, and one."""
    folder = tmp_path_factory.mktemp("service")
    key = add_key(folder / "keys.json", "clients")
    with serving(folder, "--keys", folder / "keys.json") as running:
        yield running, key


def run(command: list[str | Path], key: str | None = None) -> tuple[int, str, str]:
    """Exit code, standard output and standard error."""
    child = subprocess.run(
        [*map(str, command)],
        env=environment(**({} if key is None else {"OVERTONE_KEY": key})),
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )
    return child.returncode, child.stdout, child.stderr


def client() -> ModuleType:
    """`examples/client/client.py` as a module."""
    spec = importlib.util.spec_from_file_location("example_client", CLIENTS / "client.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# curl


@pytest.mark.slow
def test_curl(service):
    for program in ("bash", "curl"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    running, key = service
    code, out, err = run(["bash", CLIENTS / "curl.sh", running.url, EXAMPLES / "angry.wav"], key)
    assert code == 0, err
    told = out.split("\n# ")
    records = [json.loads(line) for line in out.splitlines() if line.startswith('{"source"')]
    assert [record.get("label") for record in records] == ["angry", "angry", None, "angry", "angry"]
    assert [record["source"] for record in records][-2:] == ["angry.wav", "again"]
    assert '\nevent: end\ndata: {"state": "done"}\n' in out
    assert '"code":"usage"' in told[-1]


@pytest.mark.slow
def test_curl_without_a_key_is_told(service):
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    code, out, _ = run(["bash", CLIENTS / "curl.sh", service[0].url, EXAMPLES / "angry.wav"])
    assert code == 22
    assert '"code":"unauthorized"' in out


# Python


def python(service: tuple[ServiceProcess, str], *words: str | Path) -> tuple[int, str, str]:
    running, key = service
    return run([sys.executable, CLIENTS / "client.py", "--url", running.url, *words], key)


@pytest.mark.slow
def test_python_asks_for_a_file(service):
    code, out, err = python(service, "file", EXAMPLES / "call.mp3")
    assert code == 0, err
    assert re.search(r"^call\.mp3: neutral \(0\.\d+\)$", out, re.MULTILINE)
    assert re.search(r"^ +14\.72 +\d+\.\d\d  angry$", out, re.MULTILINE)
    assert err.startswith("cache: ")


@pytest.mark.slow
def test_python_hands_in_a_folder(service, tmp_path):
    (tmp_path / "below").mkdir()
    for name in ("angry.wav", "sad.wav"):
        shutil.copy(EXAMPLES / name, tmp_path / "below")
    (tmp_path / "notes.txt").write_text("no audio")
    code, out, err = python(service, "folder", tmp_path)
    assert code == 0, err
    told = [(record["source"], record["error"] and record["error"]["code"]) for record in lines(out)]
    assert told == [("angry.wav", None), ("sad.wav", None), ("notes.txt", "not_audio")]
    assert "3 of 3 files" in err


@pytest.mark.slow
def test_python_streams(service):
    code, out, err = python(service, "live", EXAMPLES / "happy.wav")
    assert code == 0, err
    *moments, summary = out.splitlines()
    assert [moment.split()[:2] for moment in moments] == [["0.00", "1.00"]]
    assert summary.startswith("happy.wav: happy ")


@pytest.mark.slow
def test_python_says_what_is_wrong(service):
    code, _, err = python(service, "file", CLIENTS / "README.md")
    assert (code, err.partition(":")[0]) == (1, "not_audio")
    code, _, err = python((service[0], "ot_wrong"), "live", EXAMPLES / "happy.wav")
    assert (code, err.partition(":")[0]) == (1, "unauthorized")
    code, _, err = run([sys.executable, CLIENTS / "client.py", "--url", "http://127.0.0.1:9", "file", CLIENTS])
    assert code == 1
    assert "Traceback" not in err


def test_python_comes_back_to_a_busy_service(tmp_path):
    (tmp_path / "a.wav").write_bytes(b"audio")
    asked: list[bytes] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.read())
        if len(asked) < 3:
            return httpx.Response(429, headers={"Retry-After": "0"}, json={})
        return httpx.Response(200, json={"label": "sad"})

    with httpx.Client(transport=httpx.MockTransport(answer), base_url="http://service") as asking:
        assert client().send(asking, "/v1/emotion", [tmp_path / "a.wav"]).json() == {"label": "sad"}
    assert len(asked) == 3
    assert all(b"audio" in body for body in asked)  # the whole file each time


def test_python_hands_a_job_in_again_whose_answer_was_lost(tmp_path, monkeypatch):
    module = client()
    monkeypatch.setattr(module.time, "sleep", lambda _: None)
    (tmp_path / "a.wav").write_bytes(b"audio")
    keys: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        assert b"audio" in request.read()
        keys.append(request.headers["idempotency-key"])
        if len(keys) == 1:
            raise httpx.ReadError("the service was killed")
        if len(keys) == 2:
            return httpx.Response(409, headers={"Retry-After": "1"}, json={})
        return httpx.Response(202, json={"id": "1"})

    with httpx.Client(transport=httpx.MockTransport(answer), base_url="http://service") as asking:
        assert module.send(asking, "/v1/jobs", [tmp_path / "a.wav"], key="k").json() == {"id": "1"}
        assert keys == ['"k"'] * 3
        with pytest.raises(KeyError):  # what is no job has no key, and is not sent twice
            module.send(asking, "/v1/emotion", [tmp_path / "a.wav"])


def test_python_opens_broken_events_again(monkeypatch, capsys):
    module = client()
    monkeypatch.setattr(module.time, "sleep", lambda _: None)
    job: dict[str, Any] = {"seconds": {"done": 1.0, "total": 2.0}, "files": {"queued": 0, "done": 1, "failed": 0}}
    progress = f"event: progress\ndata: {json.dumps(job)}\n\n"
    told = [progress, httpx.ConnectError("not there"), f"{progress}event: end\ndata: {{}}\n\n"]

    def answer(request: httpx.Request) -> httpx.Response:
        text = told.pop(0)
        if isinstance(text, Exception):
            raise text
        return httpx.Response(200, text=text)

    with httpx.Client(transport=httpx.MockTransport(answer), base_url="http://service") as asking:
        module.follow(asking, "/v1/jobs/1/events")
    assert told == []
    assert capsys.readouterr().err.count("1 of 1 files, 1 of 2 s") == 2


def test_python_parts_a_folder_into_jobs(tmp_path, monkeypatch):
    module = client()
    monkeypatch.setattr(module, "JOB_FILES", 3)
    monkeypatch.setattr(module, "JOB_BYTES", 100)
    files = [tmp_path / str(number) for number in range(7)]
    for file, size in zip(files, (40, 40, 40, 10, 10, 10, 500), strict=True):
        file.write_bytes(b"x" * size)
    parted = [[file.name for file in some] for some in module.batches(files)]
    assert parted == [["0", "1"], ["2", "3", "4"], ["5"], ["6"]]
    assert list(module.batches([])) == []


# Node


def node(service: tuple[ServiceProcess, str], *words: str | Path) -> tuple[int, str, str]:
    program = shutil.which("node")
    if program is None:
        pytest.skip("node is not installed")
    version = subprocess.run([program, "--version"], capture_output=True, encoding="utf-8", check=True).stdout
    major = int(version.removeprefix("v").partition(".")[0])
    if major < 18:
        pytest.skip(f"node is {version.strip()}; the client needs 18")
    flags = ["--no-warnings"]
    if words[0] == "live" and major < 22:
        if major < 20:
            pytest.skip(f"node is {version.strip()}, which has no WebSocket")
        flags.append("--experimental-websocket")
    running, key = service
    return run([program, *flags, CLIENTS / "client.mjs", *words, f"--url={running.url}"], key)


@pytest.mark.slow
def test_node_asks_for_a_file(service):
    code, out, err = node(service, "file", EXAMPLES / "sad.wav")
    assert code == 0, err
    assert out.startswith("sad.wav sad 0.")


@pytest.mark.slow
def test_node_hands_in_a_job(service):
    code, out, err = node(service, "job", EXAMPLES / "happy.wav", CLIENTS / "README.md")
    assert code == 0, err
    first, second = out.splitlines()
    assert first == "happy.wav happy"
    assert second.startswith("README.md README.md: not audio")
    assert "done " in err


@pytest.mark.slow
def test_node_streams(service):
    code, out, err = node(service, "live", EXAMPLES / "happy.wav")
    assert code == 0, err
    first, *_, last = out.splitlines()
    assert first.startswith("0 1 ")
    assert last == "happy.wav happy"


@pytest.mark.slow
def test_node_says_what_is_wrong(service):
    code, _, err = node(service, "file", CLIENTS / "README.md")
    assert (code, err.partition(":")[0]) == (1, "not_audio")
    code, _, err = node((service[0], "ot_wrong"), "file", EXAMPLES / "sad.wav")
    assert (code, err.partition(":")[0]) == (1, "unauthorized")


# A browser


@pytest.mark.slow
def test_the_page_with_the_microphone(tmp_path):
    """The example of the page, in a browser whose microphone is made up."""
    if not CHROMIUM.exists():
        pytest.skip("chromium is not installed")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    found = re.search(r"```html\n(.*?)```", (CLIENTS / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    (tmp_path / "www").mkdir()
    handler = functools.partial(_Quiet, directory=str(tmp_path / "www"))
    with (
        http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as pages,
        serving(tmp_path / "service", "--cors", f"http://127.0.0.1:{pages.server_port}") as running,
    ):
        page_text = found[1].replace("ws://127.0.0.1:8765", running.url.replace("http", "ws"))
        assert page_text != found[1]
        (tmp_path / "www" / "index.html").write_text(page_text, encoding="utf-8")
        serves = threading.Thread(target=pages.serve_forever)
        serves.start()
        try:
            with playwright.sync_playwright() as started:
                _talk(started, f"http://127.0.0.1:{pages.server_port}/")
        finally:
            pages.shutdown()
            serves.join()


def _talk(started: Any, address: str) -> None:
    flags = ["--no-sandbox", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
    browser = started.chromium.launch(executable_path=str(CHROMIUM), args=flags)
    try:
        page = browser.new_page()
        wrong: list[str] = []
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.goto(address)
        page.click("#talk")
        heard = "document.getElementById('heard').value.startsWith('{}')"
        page.wait_for_function(heard.format("0 to 2 s: "), timeout=30_000)
        page.click("#talk")
        page.wait_for_function(heard.format("all in all: "), timeout=30_000)
        assert not wrong
    finally:
        browser.close()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass
