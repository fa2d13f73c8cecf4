"""A server as a child process: started from a command line, found at its port, measured, and ended whatever happens."""

from __future__ import annotations

import os
import re
import subprocess
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from serve_figures import exposed
from serve_http import HOST

START_S = 300.0
"""Seconds that a server has to load its model."""

END_S = 20.0
"""Seconds that it has to end after SIGTERM, unless said otherwise; after them it is killed."""

_LISTENING = re.compile(rb"listening on http://127\.0\.0\.1:(\d+)\s")

_LOG_CHARACTERS = 800
"""Characters of its last output that are worth showing when it dies."""


class Served:
    """A running server. Its standard error is to say `listening on http://127.0.0.1:PORT` once it takes requests.

    `folder` is made for its temporary files and its log. RuntimeError if it does not listen in time, or ends.
    """

    def __init__(self, command: Sequence[str], folder: Path, end_s: float = END_S) -> None:
        folder.mkdir()
        self._end_s = end_s
        self._log = folder / "log"
        # What is set for services of this machine is not for this one.
        kept = {name: value for name, value in os.environ.items() if not name.startswith("OVERTONE_SERVE_")}
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                env={**kept, "TMPDIR": str(folder)},
            )
        try:
            self.port = self._listens()
        except BaseException:
            self.close()
            raise

    def _listens(self) -> int:
        until = time.monotonic() + START_S
        while time.monotonic() < until:
            if found := _LISTENING.search(self._log.read_bytes()):
                return int(found[1])
            if self._process.poll() is not None:
                raise RuntimeError(f"the server ended with {self._process.returncode}: {self.last_words()}")
            time.sleep(0.05)
        raise RuntimeError(f"the server does not listen after {START_S:g} s: {self.last_words()}")

    @property
    def pid(self) -> int:
        """The process that was started; its decoders are its children."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """True while it runs."""
        return self._process.poll() is None

    @property
    def peak_bytes(self) -> int | None:
        """Its highest resident memory since it began; None where the system does not say, or it is gone."""
        try:
            status = Path(f"/proc/{self._process.pid}/status").read_text(encoding="utf-8")
        except OSError:
            return None
        found = re.search(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE)
        return int(found[1]) * 1024 if found else None

    def last_words(self) -> str:
        """The end of its output."""
        return " ".join(self._log.read_text(encoding="utf-8", errors="replace").split())[-_LOG_CHARACTERS:]

    def fetch(self, path: str, data: bytes | None = None, kind: str | None = None) -> bytes:
        """Its answer to a GET, or to a POST of `data`. urllib's HTTPError for a refusal."""
        headers = {} if kind is None else {"Content-Type": kind}
        asked = urllib.request.Request(f"http://{HOST}:{self.port}{path}", data, headers)
        with urllib.request.urlopen(asked, timeout=120) as reply:
            found: bytes = reply.read()
        return found

    def metrics(self) -> dict[str, float]:
        """Its metrics without labels, by name."""
        return exposed(self.fetch("/metrics").decode())

    def kill(self) -> None:
        """End it as a lack of memory would: with SIGKILL."""
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        """End it."""
        self._process.terminate()
        try:
            self._process.wait(self._end_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def __enter__(self) -> Served:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
