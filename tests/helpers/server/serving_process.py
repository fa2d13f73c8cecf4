"""A service as a child process: started, found at its port, asked, measured, and ended whatever happens."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx
import psutil
from prometheus_client.parser import text_string_to_metric_families

from helpers.command import COMMAND, environment
from helpers.waiting import until

START_S = 60.0
"""Seconds to load the bundled model, on a busy machine; two are usual."""

END_S = 40.0
"""Seconds to end when told to."""

ASKED_S = 60.0
"""Seconds that an answer may take before a test gives up on it."""

MEMORY = "2GiB"

FEW = 8
"""Descriptors that come and go by themselves: of a connection that is being closed, of what is yet to be collected."""

FAILING, HURRIED = (Path(__file__).with_name(f"{name}_service.py") for name in ("failing", "hurried"))

_LISTENING = re.compile(r"listening on (http://\S+)")


class ServiceProcess:
    """`overtone serve` with its own folders in `folder`; other processes may have had the same one before.

    flags: of the command, beside the port and the folders. failing: one that fails where it is told to, see
    `failing_service`. sooner: seconds that it waits, see `hurried_service`. descriptors: that it may have open.
    """

    def __init__(
        self,
        folder: Path,
        *flags: str | Path,
        failing: bool = False,
        sooner: Mapping[str, float] | None = None,
        descriptors: int | None = None,
    ) -> None:
        self.folder = folder
        self.temporary, self.jobs = folder / "tmp", folder / "jobs"
        self.temporary.mkdir(parents=True, exist_ok=True)
        if sooner is not None:
            (folder / "sooner").write_text(json.dumps(sooner), encoding="utf-8")
        program = FAILING if failing else HURRIED
        command = [sys.executable, str(program)] if failing or sooner else COMMAND
        if descriptors is not None:
            command = ["sh", "-c", f'ulimit -n {descriptors} && exec "$@"', "sh", *command]
        own = ["serve", "--port", "0", "--memory", MEMORY, "--no-page", "--log", "json", "--jobs", str(self.jobs)]
        self._log = folder / f"log-{sum(1 for _ in folder.glob('log-*'))}"
        with self._log.open("wb") as log:
            self.child = subprocess.Popen(
                [*command, *own, *map(str, flags)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment(TMPDIR=str(self.temporary)),
                cwd=folder,
            )
        self.process = psutil.Process(self.child.pid)
        try:
            self.url = until(self._listening, "it listens", START_S)
        except BaseException:
            self.kill()
            raise

    def _listening(self) -> str | None:
        if self.child.poll() is not None:
            raise AssertionError(f"it ended with {self.child.returncode}: {self.log()[-2000:]}")
        found = _LISTENING.search(self.log())
        return None if found is None else found[1]

    @property
    def port(self) -> int:
        return int(self.url.rsplit(":", 1)[1])

    @property
    def address(self) -> tuple[str, int]:
        return "127.0.0.1", self.port

    def client(self, **more: Any) -> httpx.Client:
        """A client with connections of its own. Close it."""
        # Without certificates: they take 15 ms to load, of which some tests would spend seconds.
        return httpx.Client(base_url=self.url, timeout=ASKED_S, trust_env=False, verify=False, **more)

    def get(self, path: str, **more: Any) -> httpx.Response:
        with self.client() as client:
            return client.get(path, **more)

    def post(self, path: str, data: bytes, **more: Any) -> httpx.Response:
        """Send a body that is a file."""
        headers = {"Content-Type": "application/octet-stream", **more.pop("headers", {})}
        with self.client() as client:
            return client.post(path, content=data, headers=headers, **more)

    def metrics(self, **more: Any) -> dict[str, float]:
        """Samples by name, with their labels as Prometheus writes them."""
        return exposed(self.get("/metrics", **more).text)

    def queued_s(self) -> float:
        """Seconds of audio under way, but for jobs."""
        return self.metrics()['overtone_queue_audio_seconds{class="interactive"}']

    def job(self, id: str) -> dict[str, Any]:
        answer = self.get(f"/v1/jobs/{id}")
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def finished(self, id: str, within_s: float = ASKED_S) -> dict[str, Any]:
        """A job once it is finished."""

        def ended() -> dict[str, Any] | None:
            job = self.job(id)
            return None if job["state"] in ("queued", "running") else job

        return until(ended, f"job {id} is finished", within_s)

    def records(self, id: str) -> list[dict[str, Any]]:
        """What a job has to say so far."""
        return [json.loads(line) for line in self.get(f"/v1/jobs/{id}/result").text.splitlines()]

    def log(self) -> str:
        """All that it has written."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    def events(self) -> list[dict[str, Any]]:
        """The lines of its log that are events."""
        return [json.loads(line) for line in self.log().splitlines() if line.startswith("{")]

    @property
    def alive(self) -> bool:
        return self.child.poll() is None

    @contextmanager
    def held(self, what: str = "hold") -> Iterator[None]:
        """A failing service's batches, or starts, wait while the block runs."""
        switch = self.folder / what
        switch.touch()
        try:
            yield
        finally:
            switch.unlink()

    def batches(self) -> list[int]:
        """How many segments each batch had that a failing service tried."""
        path = self.folder / "batches"
        return [int(line) for line in path.read_text().splitlines()] if path.exists() else []

    def rss_bytes(self) -> int:
        found: int = self.process.memory_info().rss
        return found

    def peak_bytes(self) -> int:
        """The most resident memory that it ever had. Linux only."""
        text = Path(f"/proc/{self.child.pid}/status").read_text(encoding="utf-8")
        found = re.search(r"^VmHWM:\s+(\d+) kB", text, re.MULTILINE)
        assert found is not None
        return int(found[1]) << 10

    def left_behind(self) -> list[str]:
        """Names of temporary files, but for locks, which are kept."""
        files = (path for path in self.temporary.rglob("*") if path.is_file() and path.suffix != ".lock")
        return sorted(str(path.relative_to(self.temporary)) for path in files)

    def left(self) -> tuple[int, int, list[str]]:
        """Open descriptors, threads, and names of temporary files; folders of its own do not count."""
        return self.process.num_fds(), self.process.num_threads(), self.left_behind()

    def settled(self) -> tuple[int, int, list[str]]:
        """`left`, once nothing is under way and it stays the same for a second."""
        until(lambda: self.queued_s() == 0, "nothing is under way")
        before = self.left()
        for _ in range(30):
            time.sleep(1.0)  # connections and threads are let go of by and by, and nothing says which was the last
            now = self.left()
            if now == before:
                break
            before = now
        return before

    def signal(self, number: signal.Signals) -> None:
        self.child.send_signal(number)

    def is_ending(self) -> bool:
        """It was told to end and has begun to: it says so, or nobody can ask it any more."""
        with suppress(httpx.HTTPError):
            return bool(self.get("/readyz").json()["state"] == "draining")
        return True

    def wait(self, within_s: float = END_S) -> int:
        """Its exit code."""
        return self.child.wait(within_s)

    def stop(self) -> int:
        """Tell it to end; its exit code."""
        self.signal(signal.SIGTERM)
        return self.wait()

    def kill(self) -> None:
        """End it as a lack of memory would."""
        self.child.kill()
        self.child.wait()

    def __enter__(self) -> ServiceProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            print(self.log()[-4000:])
        self.kill()


def head(path: str = "/v1/emotion", length: int = 10 << 20, more: str = "") -> bytes:
    """What comes before a body, for those who send it by hand."""
    named = "Host: 127.0.0.1\r\nContent-Type: application/octet-stream"
    return f"POST {path} HTTP/1.1\r\n{named}\r\nContent-Length: {length}\r\n{more}\r\n".encode()


def exposed(text: str) -> dict[str, float]:
    """Prometheus' text as numbers by name and labels."""
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(f'{name}="{value}"' for name, value in sorted(sample.labels.items()))
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found


@contextmanager
def serving(folder: Path, *flags: str | Path, **more: Any) -> Iterator[ServiceProcess]:
    """A service that has to end well when it is told to."""
    with ServiceProcess(folder, *flags, **more) as service:
        yield service
        code = service.stop()
        assert code == 0, service.log()[-4000:]
