"""Contenders started, asked, and timed turn by turn, so that a busy moment hits all of them."""

from __future__ import annotations

import contextlib
import json
import queue
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import IO, Any

from overtone import errors
from overtone.system import subprocess_call

SETTLE_S = 0.3
"""Seconds between two turns. PyTorch's threads go on waiting for work by spinning, up to 0.2 s after the last."""

_CHILD = "from overtone.tools.benchmark.worker import main; main()"

_LOG_CHARACTERS = 600
"""Characters of a contender's last output that are worth showing once it died."""


class WorkerDied(Exception):  # noqa: N818 - it is what happened
    """A contender is gone, or another program's fault stopped it; the message has the details."""


class BenchmarkWorker:
    """A process with one model in it; see `overtone.tools.benchmark.worker`. Close it, or use `with`.

    `kind`: `overtone` or `funasr`. Nothing is loaded until `ask("load", …)`.
    `code`: Python that answers in that module's stead, with kinds that it knows.
    """

    def __init__(self, kind: str, *, code: str = _CHILD) -> None:
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the process
        self._process = subprocess.Popen(
            [*subprocess_call.command(code), kind],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            encoding="utf-8",
        )
        self._answers: queue.Queue[str] = queue.Queue()
        self._thread = threading.Thread(target=self._listen, daemon=True, name=f"overtone-{kind}")
        self._thread.start()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._answers.put(line)
        self._answers.put("")

    def ask(self, do: str, *, timeout_s: float | None = None, **given: Any) -> dict[str, Any]:
        """Send one command and return its answer.

        Raises WorkerDied if the process is gone or the other program failed, or if it took longer than
        `timeout_s`, which ends the process; and Overtone's own errors as they are.
        """
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps({"do": do, **given}) + "\n")
            self._process.stdin.flush()
            line = self._answers.get(timeout=timeout_s)
        except queue.Empty:
            self.close()
            raise WorkerDied("stopped at the time limit") from None
        except (OSError, ValueError):  # a broken pipe; a closed file
            line = ""
        if not line:
            self._answers.put("")  # for whoever asks again
            raise WorkerDied(self._last_words())
        found: dict[str, Any] = json.loads(line)
        if "error" in found:
            kind = getattr(errors, found.get("kind", ""), None)
            raise kind(found["error"], code=found["code"]) if kind is not None else WorkerDied(found["error"])
        return found

    def _last_words(self) -> str:
        code = self._process.wait()
        if self._log.closed:
            return "stopped before"
        self._log.seek(0)
        said = " ".join(self._log.read().decode("utf-8", "replace").split())[-_LOG_CHARACTERS:]
        why = f"killed by signal {-code}" if code < 0 else f"ended with {code}"
        return f"{why}: {said}" if said else why

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
        self._thread.join()
        for stream in (self._process.stdin, self._process.stdout, self._log):
            with contextlib.suppress(OSError):  # what was written last and never read
                if stream is not None:
                    stream.close()

    def __enter__(self) -> BenchmarkWorker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@dataclass(slots=True)
class Timed:
    """Measurements of one contender. `peak_bytes`: the most that its process has held since it began."""

    times_s: list[float] = field(default_factory=list)
    peak_bytes: int | None = None
    answer: dict[str, Any] = field(default_factory=dict)
    error: str | None = None

    @property
    def median_s(self) -> float | None:
        """Median seconds; None if there is no measurement."""
        return statistics.median(self.times_s) if self.times_s else None


def take_turns(
    commands: Mapping[str, tuple[BenchmarkWorker, Mapping[str, Any]]],
    *,
    repeats: int,
    warm_up: bool = True,
    until: float = float("inf"),
    settle_s: float = SETTLE_S,
) -> dict[str, Timed]:
    """Have each contender do its command in turn, `repeats` times after a warm-up; only one computes at a time.

    A contender that fails keeps its `error`, and its measurements so far; Overtone's own errors are raised.

    - `commands`: a contender and the fields of its command, by name.
    - `until`: on the clock of `time.perf_counter`; no turn starts after it, and one that is not done by then ends its
      contender.
    """
    found = {name: Timed() for name in commands}
    for turn in range(repeats + warm_up):
        for name, (contender, command) in commands.items():
            timed = found[name]
            if timed.error is not None:
                continue
            time.sleep(settle_s)
            left = until - time.perf_counter()
            try:
                if left <= 0:
                    raise WorkerDied("not reached within the time limit")
                answer = contender.ask(timeout_s=None if left == float("inf") else left, **command)
            except WorkerDied as error:
                timed.error = str(error)
                continue
            timed.answer, timed.peak_bytes = answer, answer["peak_bytes"]
            if turn >= warm_up:
                timed.times_s.append(answer["seconds"])
    return found
