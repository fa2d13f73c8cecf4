"""The service as a child process: started, asked, ended, and all that it says as text."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import httpx

from answering.place import Place
from answering.running import OVERTONE, PATIENCE_S, readable, section
from answering.texts import Scrubber, arrays, table

_LEFT_OUT = ("date", "connection", "server", "keep-alive")
"""Headers of the connection, and no answer."""
Files = Sequence[tuple[str, str]]
"""The name of a file in a request, and which it is."""


Fields = Mapping[str, str | list[str]]
"""Fields of a form beside its files."""


class Service:
    """`overtone serve` as a child, and what it was asked and said. name: of its folder. flags, environment: its own."""

    def __init__(self, place: Place, name: str, *flags: str, environment: Mapping[str, str]) -> None:
        self.place, self.name = place, name
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        self.url = f"http://127.0.0.1:{self.port}"
        self.told: list[str] = []
        self.ids: dict[str, str] = {}
        folder = place.folder / "written" / name
        folder.mkdir(parents=True)
        self._log = folder / "log"
        command = [*OVERTONE, "serve", "--port", str(self.port), "--jobs", str(folder / "jobs"), "--log", "json"]
        with self._log.open("wb") as log:
            self._child = subprocess.Popen(
                [*command, *flags], cwd=place.folder, env={**place.environment, **environment}, stdout=log, stderr=log
            )
        self.client = httpx.Client(base_url=self.url, timeout=PATIENCE_S, trust_env=False)

    def wait(self) -> None:
        """Until it is ready."""
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end and self._child.poll() is None:
            with contextlib.suppress(httpx.TransportError):
                if self.client.get("/readyz").status_code == 200:
                    return
            time.sleep(0.2)
        raise RuntimeError(f"{self.name} is not ready: {self._log.read_text(encoding='utf-8')[-2000:]}")

    def end(self) -> None:
        """Tell it to end; what it logged is told, too."""
        self.client.close()
        self._child.send_signal(signal.SIGTERM)
        code = self._child.wait(PATIENCE_S)
        self.note("ended", f"exit {code}\n" + "\n".join(self._logged()) + "\n")

    def kill(self) -> None:
        """End it if it has not ended."""
        if self._child.poll() is None:
            self._child.kill()
            self._child.wait()

    def _logged(self) -> Iterator[str]:
        """Lines of the log in the order of their words: those of jobs and those of requests run beside each other."""
        lines = []
        for line in self._log.read_text(encoding="utf-8").splitlines():
            said = json.loads(line) if line.startswith("{") else {"message": line}
            if said.get("route") in ("/readyz", "/v1/jobs/{job_id}", "/v1/jobs/{id}"):
                continue  # how often it was asked depends on how fast it was
            for measured in ("time", "request_id", "ms"):
                said.pop(measured, None)
            lines.append(json.dumps(said, ensure_ascii=False))
        return iter(sorted(lines))

    @property
    def scrub(self) -> Scrubber:
        """Replaces what only this service says."""
        return self.place.scrub.also({self.url: "<service>", **self.ids})

    def note(self, name: str, text: str) -> None:
        """Something that it said."""
        self.told.append(f"== {name}\n{self.scrub(text)}".rstrip("\n") + "\n")

    def ask(self, method: str, path: str, **more: Any) -> None:
        """A request; its answer is told. more: headers and content."""
        answer = self.client.request(method, path, **more)
        self.note(f"{method} {self.scrub(path)}{_of(more)}", _answer(answer, self.scrub))

    def send(self, path: str, files: Files, *, field: str = "file", data: Fields | None = None) -> None:
        """A form with files; its answer is told. field: what they are sent as. data: other fields."""
        parts = [(field, (name, self.read(which))) for name, which in files]
        answer = self.client.post(path, files=parts, data=data)
        asked = {field: [name for name, _ in files], **(data or {})}
        self.note(f"POST {self.scrub(path)}{_of(asked)}", _answer(answer, self.scrub))

    def read(self, path: str) -> bytes:
        """A file of the place."""
        return (self.place.folder / path).read_bytes()


def _of(more: Mapping[str, Any]) -> str:
    """What a request has beside its address."""
    shown = {name: value if not isinstance(value, bytes) else f"{len(value)} bytes" for name, value in more.items()}
    return f" {shown}" if shown else ""


def _answer(answer: httpx.Response, scrub: Scrubber) -> str:
    """Status, headers and body."""
    body = _body(answer)
    clean = scrub(body)
    # A body of which something is replaced is not always as long.
    left_out = _LEFT_OUT if clean == body else (*_LEFT_OUT, "content-length")
    told = sorted(answer.headers.multi_items())
    headers = [f"{name}: {_header(name, value)}" for name, value in told if name not in left_out]
    return "\n".join([str(answer.status_code), *headers]) + "\n" + section("body", clean)


def _header(name: str, value: str) -> str:
    if name == "server-timing":
        return re.sub(r"dur=[\d.]+", "dur=<measured>", value)
    if name == "x-request-id" and re.fullmatch(r"[0-9a-f]{16}", value):
        return "<id>"
    if name == "retry-after":
        return "<measured>"
    return value


def _body(answer: httpx.Response) -> str:
    kind = answer.headers.get("content-type", "")
    if answer.status_code == 200 and "parquet" in kind:
        return table(answer.content)
    if answer.status_code == 200 and answer.content.startswith(b"PK"):
        return arrays(answer.content)
    return without_id(readable(answer.content))


def without_id(text: str) -> str:
    """A text without the id that was made for a request."""
    return re.sub(r'"request_id": ?"[0-9a-f]{16}"', '"request_id": "<id>"', text)


@contextlib.contextmanager
def serving(place: Place, name: str, *flags: str, **environment: str) -> Iterator[Service]:
    """A service that is ready, while the block runs."""
    service = Service(place, name, *flags, environment=environment)
    try:
        service.wait()
        yield service
        service.end()
    finally:
        service.kill()
