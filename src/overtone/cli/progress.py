"""Progress of a run: a bar on standard error, audio hours per hour, the time that is left, and a summary."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn

from overtone.audio import Probe
from overtone.audio.inputs import Entry, FailedInput
from overtone.cli import console
from overtone.errors import InputError
from overtone.output.times import duration
from overtone.results import Result

_REFRESH_S = 0.25


class ProgressBar:
    """Counter of results that shows a bar while its `with` block runs.

    - `to_do`: the inputs of this run, None if they cannot be counted; their headers are read in a separate thread, so
      that the run starts at once.
    - `probe`: reads the header of a path.
    - `decoded_s`: seconds of audio decoded so far, which move while a single long file is under way.
    """

    def __init__(
        self,
        to_do: Iterator[Entry] | None,
        decoded_s: Callable[[], float],
        probe: Callable[[str], Probe],
        *,
        shown: bool,
    ) -> None:
        self._to_do, self._probe = to_do, probe
        self._decoded_s = decoded_s
        self._shown = shown
        self._began = time.perf_counter()
        self._stop = threading.Event()
        self._expected_files = 0
        self._expected_s = 0.0
        self._counted = False
        self.done = 0
        self.failed = 0
        self.audio_s = 0.0
        self._bar = Progress(
            SpinnerColumn(),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TextColumn("{task.fields[left]}"),
            console=console.err,
            transient=True,
            disable=not shown,
        )
        self._task = self._bar.add_task("", total=None, rate="", left="")

    def __enter__(self) -> ProgressBar:
        if self._shown:
            self._bar.start()
            threading.Thread(target=self._count, name="overtone-count", daemon=True).start()
            threading.Thread(target=self._refresh, name="overtone-progress", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._bar.stop()

    def add(self, result: Result) -> None:
        """Count a result that has been written."""
        first = result.channel in (None, 0)
        self.done += first
        self.failed += not result.ok
        self.audio_s += result.duration if first else 0.0

    def _count(self) -> None:
        if self._to_do is None:
            return
        for entry in self._to_do:
            if self._stop.is_set():
                return
            self._expected_files += 1
            if not isinstance(entry, FailedInput) and entry.path is not None and os.path.isfile(entry.path):
                with suppress(InputError):
                    self._expected_s += self._probe(entry.path).claimed_s or 0.0
        self._counted = True

    def _refresh(self) -> None:
        while not self._stop.wait(_REFRESH_S):
            rate, left = self.pace(time.perf_counter() - self._began)
            total = self._expected_files if self._counted else None
            self._bar.update(self._task, completed=self.done, total=total, rate=rate, left=left)

    def pace(self, elapsed: float) -> tuple[str, str]:
        """Audio hours per hour after `elapsed` seconds, and the time that is left; empty where it is not known yet."""
        heard = self._decoded_s()
        if not heard:
            return "", ""
        rate = f"{heard / elapsed:.0f} h/h"
        if not self._counted:
            return rate, ""
        return rate, f"{duration(max(0.0, self._expected_s - heard) * elapsed / heard)} left"

    def summary(self, *, skipped: int) -> None:
        """Print one line at the end."""
        elapsed = time.perf_counter() - self._began
        inputs = "1 input" if self.done == 1 else f"{self.done} inputs"
        parts = [inputs, f"{duration(self.audio_s)} of audio in {duration(elapsed)}"]
        if self.audio_s:
            parts.append(f"{self.audio_s / max(elapsed, 1e-9):.0f} audio hours per hour")
        if self.failed:
            parts.append(f"{self.failed} failed")
        if skipped:
            parts.append(f"{skipped} were done before")
        console.print_note(", ".join(parts))
