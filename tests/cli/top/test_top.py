"""`overtone top`, against a small server that exposes real metrics: what is shown, what is said when it cannot be."""

from __future__ import annotations

import dataclasses
import os
import pty
import re
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import typer
from rich.console import Console

from helpers.command import environment
from helpers.server.exposing import TIMINGS, Source
from overtone.cli import app as cli
from overtone.cli import console as screen
from overtone.cli.options import typer_command
from overtone.cli.top.command import top
from overtone.cli.top.model import view
from overtone.cli.top.prometheus_text import MetricSamples, parse
from overtone.cli.top.screen import frame
from overtone.server.observability.metrics import Metrics

KEY = "a-key-that-nobody-may-see"

PROGRAM = """
from overtone.cli import app
from overtone.cli.options import typer_command
from overtone.cli.top.command import top
app.app.command()(typer_command(top))
app.main()
"""


class Service(ThreadingHTTPServer):
    """Answers `/metrics` and `/readyz`. `answers` replaces an answer: status, headers, body."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.source = Source()
        self.metrics = Metrics(self.source)
        self.answers: dict[str, tuple[int, dict[str, str], bytes]] = {}
        self.seen: list[tuple[str, str | None]] = []
        self.wanted_key: str | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def happen(self) -> None:
        """Something happens between two looks."""
        for status in (200, 200, 200, 503):
            self.metrics.request("/v1/emotion", "POST", status, 0.2)
        self.metrics.stage(TIMINGS)
        self.metrics.refused("busy")
        before = self.source.now.engine
        more = dataclasses.replace(
            before,
            batches=before.batches + 2,
            segments=before.segments + 13,
            audio_s=before.audio_s + 30.0,
            padded_s=before.padded_s + 40.0,
        )
        self.source.change(engine=more, cache_hits=self.source.now.cache_hits + 3)


class _Handler(BaseHTTPRequestHandler):
    server: Service

    def do_GET(self) -> None:
        service, given = self.server, self.headers["Authorization"]
        service.seen.append((self.path, given))
        if service.wanted_key is not None and given != f"Bearer {service.wanted_key}":
            status, headers, body = 401, {}, b"{}"
        elif self.path in service.answers:
            status, headers, body = service.answers[self.path]
        elif self.path == "/metrics":
            body, kind = service.metrics.exposition()
            status, headers = 200, {"Content-Type": kind}
            service.happen()
        else:
            status, headers, body = (200, {}, b'{"ready": true}') if self.path == "/readyz" else (404, {}, b"")
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def service() -> Iterator[Service]:
    with Service() as serving:
        thread = threading.Thread(target=serving.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield serving
        serving.shutdown()
        thread.join()


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """`overtone top ARGS --once` in this process: exit code, standard output and error."""
    only = typer.Typer()
    only.callback()(lambda: None)
    only.command()(typer_command(top))
    monkeypatch.setattr(cli, "app", only)
    monkeypatch.setattr(screen.out, "_width", 100)

    def run(*arguments: str) -> tuple[int, str, str]:
        code = cli.run(["top", "--once", "--interval", "0.1", *arguments])
        return code, *capsys.readouterr()

    return run


def row(frame: str, name: str) -> str:
    """What stands beside a name."""
    return next(line for line in frame.splitlines() if line.startswith(name + " "))[len(name) :].strip()


# One frame


def test_one_frame_from_two_looks(service, call):
    code, out, err = call(service.url)
    assert (code, err) == (0, "")
    assert [path for path, _ in service.seen] == ["/metrics", "/readyz", "/metrics", "/readyz"]
    heading, under = out.splitlines()[:2]
    assert re.match(r"Overtone \S+ +● ready +tiny, fp32 on cpu +up \d+\.\d s", heading)
    assert service.url in under
    requests = re.fullmatch(r"(\S+) a second +2xx (\S+) +4xx 0\.0 +5xx (\S+)", row(out, "requests"))
    assert requests
    total, answered, failed = map(float, requests.groups())
    assert total > 0
    assert answered == pytest.approx(3 * failed, rel=0.1)
    assert row(out, "latency") == "p50 175 ms   p95 242 ms"
    assert row(out, "speed") == "14.2 × real time"
    assert row(out, "model").endswith(" % busy")
    assert row(out, "batches").endswith("75 % filled, 25 % padding · 6.5 segments each")
    assert row(out, "stages") == "decode 12 ms · cut 3 ms · wait 40 ms · run 120 ms · merge 1 ms"
    assert row(out, "queue") == "interactive 3.25 s · jobs 5:10 · live 0 s"
    assert row(out, "memory") == "██████████████▒▒▒▒░░░░│░ 1.20 GiB of 2.00 GiB"
    assert "▒ peak 1.50 GiB · │ plan 1.80 GiB" in out
    assert row(out, "cache") == "100 % hits · 69 % since the start · 3 MiB"
    assert row(out, "jobs") == "3 queued · 1 running · 22 done"
    assert row(out, "live") == "2 streams"
    assert row(out, "so far") == "1 batch halved · 0 restarts · refused: 1 busy"
    assert re.search(r"^POST /v1/emotion +\S+ +175 ms +242 ms +25 %$", out, re.MULTILINE)


def test_a_frame_fits_80_columns(service, call, monkeypatch):
    monkeypatch.setattr(screen.out, "_width", 80)
    _, out, _ = call(service.url)
    assert max(map(len, out.splitlines())) <= 80
    assert len(out.splitlines()) <= 24


def test_without_a_terminal_one_frame_is_all(service, call):
    assert cli.run(["top", "--interval", "0.1", service.url]) == 0


def test_a_service_that_is_not_ready_says_why(service, call):
    service.answers["/readyz"] = (503, {}, b'{"code": "not_ready", "message": "loading \\u001b[2J the [bold]model"}')
    code, out, _ = call(service.url)
    assert code == 0
    assert "● not ready loading \\x1b[2J the [bold]model" in out.splitlines()[0]


@pytest.mark.parametrize("body", [b"", b"\xff", b"[1]", b"null", b'{"message": 3}', b"[" * 100_000])
def test_a_service_may_be_not_ready_without_words(service, call, body):
    service.answers["/readyz"] = (503, {}, body)
    code, out, _ = call(service.url)
    assert code == 0
    assert "● not ready" in out


def test_names_from_a_service_reach_the_terminal_as_text(service, call):
    for _ in range(3):
        service.metrics.request("/[red]\x1b[2J\n", "GET", 200, 0.1)
    body, kind = service.metrics.exposition()
    seen = MetricSamples(1.0, 1.0, parse(body.decode()))
    console = Console(width=100, file=open(os.devnull, "w", encoding="utf-8"), record=True)  # noqa: SIM115 - closed below
    console.print(frame(view(MetricSamples(0.0, 0.0, parse("overtone_ready 1\n")), seen), "http://there"))
    console.file.close()
    assert "GET /[red]\\x1b[2J\\n" in console.export_text()
    assert "version=0.0.4" in kind


def test_https_and_a_path_in_front_are_kept(service, call):
    body, kind = service.metrics.exposition()
    service.answers = {
        "/speech/metrics": (200, {"Content-Type": kind}, body),
        "/speech/readyz": (200, {}, b""),
    }
    assert call(service.url + "/speech/")[0] == 0


def test_no_proxy_is_asked_for_this_machine(service, call, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    assert call(service.url)[0] == 0


# Keys


@pytest.mark.parametrize("typed", [True, False])
def test_the_key_is_sent_and_not_shown(service, call, monkeypatch, typed):
    service.wanted_key = KEY
    monkeypatch.setenv("OVERTONE_KEY", "another" if typed else KEY)
    code, out, err = call(service.url, *(["--key", KEY] if typed else []))
    assert code == 0
    assert KEY not in out + err


def test_without_the_key_one_line_says_so(service, call):
    service.wanted_key = KEY
    code, out, err = call(service.url, "--key", "another-key")
    assert (code, out) == (1, "")
    assert err == f"error: {service.url} wants a key, or another one; give --key or OVERTONE_KEY.\n"


@pytest.mark.parametrize("key", ["a\nb: c", "schlüssel", "a\x00b"])
def test_a_key_that_no_header_can_hold_is_refused_unseen(service, call, key):
    code, out, err = call(service.url, "--key", key)
    assert code == 2
    assert "visible ASCII" in err
    assert key not in out + err
    assert service.seen == []


def test_a_redirect_does_not_take_the_key_elsewhere(service, call):
    service.answers["/metrics"] = (302, {"Location": f"{service.url}/elsewhere"}, b"")
    code, _, err = call(service.url, "--key", KEY)
    assert (code, "not an Overtone service" in err) == (2, True)
    assert [path for path, _ in service.seen] == ["/metrics"]


# What cannot be watched


def test_nobody_there(call):
    with socket.socket() as taken:  # bound and not listening: refuses, and nobody else gets the port
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        code, out, err = call(url)
    assert (code, out) == (1, "")
    assert re.fullmatch(rf"error: {url} cannot be reached \(.*refused\); is it running\?.*\n", err)


@pytest.mark.parametrize(
    "answer",
    [
        (200, b"<!doctype html><html><body>hello</body></html>"),
        (200, b"# TYPE other_total counter\nother_total 1\n"),
        (200, b"\xff\xfe"),
        (200, b""),
        (404, b"not found"),
    ],
)
def test_something_else_is_there(service, call, answer):
    service.answers["/metrics"] = (answer[0], {}, answer[1])
    code, out, err = call(service.url)
    assert (code, out) == (2, "")
    assert err == f"error: what answers at {service.url} is not an Overtone service; check the URL.\n"


def test_what_speaks_no_http_is_something_else(call):
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(65_536)
                connection.sendall(b"SSH-2.0-other\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        code, _, err = call(f"http://127.0.0.1:{listening.getsockname()[1]}")
        thread.join()
    assert (code, "not an Overtone service" in err) == (2, True)


def test_a_service_in_trouble(service, call):
    service.answers["/metrics"] = (500, {}, b"")
    code, _, err = call(service.url)
    assert (code, err) == (1, f"error: {service.url} answered 500; ask again later.\n")


@pytest.mark.parametrize(
    "url",
    [
        "ftp://127.0.0.1",
        "file:///etc/passwd",
        "127.0.0.1:8765",
        "localhost:8765",
        "http://",
        "http://127.0.0.1:port",
        "http://127.0.0.1:99999",
        "http://[::1",
        "http://127.0.0.1/ a",
        "http://127.0.0.1/\r\nX: y",
        "http://127.0.0.1?x=1",
        "http://" + "a" * 70 + ".example",
    ],
)
def test_what_is_no_url_of_a_service(call, url):
    code, out, err = call(url)
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1


def test_a_password_in_a_url_is_not_shown(call):
    code, _, err = call(f"http://user:{KEY}@127.0.0.1:8765")
    assert code == 2
    assert KEY not in err


def test_without_prometheus_client_the_extra_is_named(call, monkeypatch):
    for name in [name for name in sys.modules if name.startswith("overtone.cli.top.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "prometheus_client.parser", None)
    code, _, err = call("http://127.0.0.1:1")
    assert (code, err) == (2, "error: top needs prometheus-client: pip install 'overtone[server]'\n")


# On a terminal


class Terminal:
    """A terminal with `overtone top` in it."""

    def __init__(self, *arguments: str) -> None:
        master, slave = pty.openpty()
        self.master = master
        self.shown = ""
        before = signal.signal(signal.SIGINT, signal.default_int_handler)  # as a shell in the foreground has it
        try:
            self.child = subprocess.Popen(
                [sys.executable, "-c", PROGRAM, "top", *arguments],
                env=environment(TERM="xterm-256color", COLUMNS="100", LINES="40"),
                stdin=subprocess.DEVNULL,
                stdout=slave,
                stderr=slave,
            )
        finally:
            signal.signal(signal.SIGINT, before)
            os.close(slave)

    def wait_for(self, text: str) -> bool:
        """Whether the text is shown from here on, within a minute."""
        until, begin = time.monotonic() + 60, len(self.shown)
        while text not in self.shown[begin:]:
            if not select.select([self.master], [], [], max(0.0, until - time.monotonic()))[0]:
                return False
            try:
                read = os.read(self.master, 65_536)
            except OSError:  # what Linux says when the other end is closed
                read = b""
            if not read:
                return False
            self.shown += read.decode("utf-8", "replace")
        return True

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        self.child.kill()
        self.child.wait()
        os.close(self.master)


def test_a_live_view_goes_on_until_ctrl_c(service):
    with Terminal("--interval", "0.1", service.url) as terminal:
        assert terminal.wait_for("the first look")
        assert terminal.wait_for("POST /v1/emotion")
        service.answers["/metrics"] = (503, {}, b"")
        assert terminal.wait_for("answered 503")  # what was there once is waited for
        del service.answers["/metrics"]
        assert terminal.wait_for("rates over")
        terminal.child.send_signal(signal.SIGINT)
        assert terminal.wait_for("\x1b[?1049l")  # the screen as it was before
        terminal.wait_for("what never comes: all that is written until it ends")
        assert terminal.child.wait(60) == 0
    assert "Traceback" not in terminal.shown
    assert "interrupted" not in terminal.shown


def test_a_live_view_that_cannot_begin_says_why():
    with Terminal("http://127.0.0.1:1") as terminal:
        assert terminal.wait_for("cannot be reached")
        assert terminal.child.wait(60) == 1
