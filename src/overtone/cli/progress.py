"""Progress of a run: a bar on standard error, by seconds of audio, the time that is left, and a summary."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from overtone.audio import Probe
from overtone.audio.inputs import Entry, FailedInput
from overtone.cli import console
from overtone.errors import OvertoneError
from overtone.output.times import duration
from overtone.results import Result

_REFRESH_S = 0.25


@contextmanager
def spinner(text: str, *, shown: bool) -> Iterator[None]:
    """Show `text`, and for how long the block has run, while it does."""
    if not shown:
        yield
        return
    columns = SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn()
    with Progress(*columns, console=console.err, transient=True) as bar:
        bar.add_task(console.shown(text), total=None)
        yield


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
        self._drawing = threading.Lock()
        self._expected_files = 0
        self._expected_s = 0.0
        self._counted = False
        self.done = 0
        self.failed = 0
        self.audio_s = 0.0
        self._bar = Progress(
            SpinnerColumn(),
            BarColumn(),
            TextColumn("{task.description}"),
            console=console.err,
            transient=True,
            disable=not shown,
        )
        self._task = self._bar.add_task("", total=None)

    def __enter__(self) -> ProgressBar:
        if self._shown:
            self._bar.start()
            threading.Thread(target=self._count, name="overtone-count", daemon=True).start()
            threading.Thread(target=self._refresh, name="overtone-progress", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        with self._drawing:
            self._bar.stop()

    @contextmanager
    def hidden(self) -> Iterator[None]:
        """Take the bar away while the block prints to the same terminal; it comes back at its next refresh."""
        with self._drawing:
            self._bar.stop()
            yield

    def counted(self, done: int) -> str:
        """So many inputs, of all of them where they are counted: `41 of 100 inputs`."""
        return f"{done} of {_inputs(self._expected_files)}" if self._counted else _inputs(done)

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
                with suppress(OvertoneError):  # of the input, or of a run that ends just now
                    self._expected_s += self._probe(entry.path).claimed_s or 0.0
        self._counted = True

    def _refresh(self) -> None:
        while not self._stop.wait(_REFRESH_S):
            heard_s = self._decoded_s()
            # Headers need not be right: a bar is not full before the end.
            total = max(self._expected_s, heard_s) if self._counted and self._expected_s else None
            text = self.text(time.perf_counter() - self._began)
            with self._drawing:
                if not self._stop.is_set():
                    self._bar.update(self._task, completed=heard_s, total=total, description=text)
                    self._bar.start()

    def text(self, elapsed: float) -> str:
        """The line beside the bar after `elapsed` seconds; unknown parts are left out."""
        heard_s = self._decoded_s()
        inputs = self.counted(self.done)
        if not heard_s:
            return inputs
        expected_s = self._expected_s if self._counted else 0.0
        of_all = f" of {duration(expected_s)}" if expected_s else ""
        parts = [inputs, f"{duration(heard_s)}{of_all} of audio", f"{heard_s / elapsed:.0f} h/h"]
        if expected_s:
            parts.append(f"{duration(max(0.0, expected_s - heard_s) * elapsed / heard_s)} left")
        return ", ".join(parts)

    def summary(self, *, skipped: int) -> None:
        """Print one line at the end."""
        elapsed = time.perf_counter() - self._began
        parts = [_inputs(self.done), f"{duration(self.audio_s)} of audio in {duration(elapsed)}"]
        if self.audio_s:
            parts.append(f"{self.audio_s / max(elapsed, 1e-9):.0f} audio hours per hour")
        if self.failed:
            parts.append(f"{self.failed} failed")
        if skipped:
            parts.append(f"{skipped} were done before")
        console.print_note(", ".join(parts))


def _inputs(count: int) -> str:
    return "1 input" if count == 1 else f"{count} inputs"
