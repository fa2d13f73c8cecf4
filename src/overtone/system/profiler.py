"""Per-thread stage profiler, in bounded memory.

One clock for everything that is timed: `Profiler` only reads it, and is used by runs; a `TraceRecorder` keeps the
times.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Literal

Stage = Literal["decode", "cut", "wait", "batch", "run", "merge", "write", "idle"]
"""Stages of a run.

- decode: a source is opened and read.
- cut: it is cut into segments.
- wait: its thread waits for room further on.
- batch: the next batch is chosen.
- run: the model works.
- merge: answers are put together.
- write: results are written.
- idle: the model's thread has nothing to run.
"""

STAGES: tuple[Stage, ...] = ("decode", "cut", "wait", "batch", "run", "merge", "write", "idle")
"""In the order in which a source meets them."""

MAX_INTERVALS = 8192
"""Intervals that a recording holds; with more, neighbors become one. Some 2 MB."""

MAX_LANES = 64
"""Threads with a lane each; the rest share one, so that no number of them makes a recording grow."""

_FINEST_S = 1e-4
"""Gap that neighbors are first joined over, in seconds; it doubles for as long as there are too many."""

_LABEL = 60
"""Characters of a label that are kept."""


class Profiler:
    """Timer of stages that keeps nothing. The clock is `time.perf_counter`: seconds from anywhere.

    began = profiler.begin(); ...; took_s = profiler.end("decode", began)

    Stages of one thread follow each other; they do not nest. Thread-safe.
    """

    def begin(self) -> float:
        """Begin a stage of this thread."""
        return time.perf_counter()

    def end(self, stage: Stage, began: float, label: object = "") -> float:
        """End a stage and return the seconds it took.

        `label` names the subject, and is made text only if it is kept; without one, it is the source.
        """
        return time.perf_counter() - began

    def source(self, name: str) -> AbstractContextManager[None]:
        """Mark this thread as working on a source while the block runs."""
        return nullcontext()

    def record_allocation(self, stage: Stage, size: int) -> None:
        """Record that a stage took so many bytes more than there were before it."""


NULL_PROFILER = Profiler()
"""The default: times, and keeps nothing."""


@dataclass(slots=True)
class Interval:
    """Time of one lane spent on one stage: `count` intervals of `busy_s` seconds in all, the first of them on `label`.

    One that was not joined with others has a count of 1 and is busy from `start` to `stop`.
    """

    start: float
    stop: float
    busy_s: float
    label: str
    count: int = 1

    def join(self, later: Interval) -> None:
        """Make this and a later one the same interval."""
        self.start, self.stop = min(self.start, later.start), max(self.stop, later.stop)
        self.busy_s += later.busy_s
        self.count += later.count


@dataclass(slots=True)
class StageTotal:
    """All intervals of one lane on one stage. `cpu_s`: seconds that the lane's thread spent on a processor."""

    count: int = 0
    busy_s: float = 0.0
    cpu_s: float = 0.0
    longest: Interval | None = None

    def add(self, interval: Interval, cpu_s: float) -> None:
        """Add one interval."""
        self.count += 1
        self.busy_s += interval.busy_s
        self.cpu_s += cpu_s
        if self.longest is None or interval.busy_s > self.longest.busy_s:
            self.longest = Interval(interval.start, interval.stop, interval.busy_s, interval.label)


@dataclass(slots=True)
class _Series:
    total: StageTotal = field(default_factory=StageTotal)
    intervals: list[Interval] = field(default_factory=list)

    def put(self, interval: Interval, width_s: float) -> bool:
        """Add one; False if it could be joined to the one before, both within `width_s`."""
        if self.intervals:
            last = self.intervals[-1]
            if max(last.stop, interval.stop) - min(last.start, interval.start) <= width_s:
                last.join(interval)
                return False
        self.intervals.append(interval)
        return True


class Recording:
    """Intervals by lane and stage. Pure: no clock, no threads.

    Totals are exact however long it gets. Intervals are at most `MAX_INTERVALS`: with more, neighbors of the same lane
    and stage are joined where both lie within `resolution_s`, which doubles until half of that is left.
    """

    def __init__(self) -> None:
        self.resolution_s = 0.0
        self.started = 0.0
        """Start of the recording; anything begun before is counted from then on."""
        self.stopped = 0.0
        """End of the last interval."""
        self.starved_s = 0.0
        """Seconds of `idle` during which a source was being read: the model waited for it."""
        self.max_growth: dict[Stage, int] = {}
        """The most bytes that a stage was seen to take at once."""
        self.first_bytes: dict[Stage, int] = {}
        """Bytes in use when a stage was first done."""
        self._series: dict[tuple[str, Stage], _Series] = {}
        self._lanes: dict[str, None] = {}
        self._held = 0

    def add(self, lane: str, stage: Stage, interval: Interval, cpu_s: float = 0.0) -> None:
        """Add one interval of a lane and a stage; those of the same two come in order."""
        lane = lane if lane in self._lanes or len(self._lanes) < MAX_LANES else "others"
        self._lanes[lane] = None
        self.stopped = max(self.stopped, interval.stop)
        series = self._series.setdefault((lane, stage), _Series())
        series.total.add(interval, cpu_s)
        self._held += series.put(interval, self.resolution_s)
        if self._held > MAX_INTERVALS:
            self._coarsen()

    def _coarsen(self) -> None:
        while self._held > MAX_INTERVALS // 2:
            self.resolution_s = max(_FINEST_S, 2 * self.resolution_s)
            for series in self._series.values():
                intervals, series.intervals = series.intervals, []
                self._held -= sum(not series.put(interval, self.resolution_s) for interval in intervals)

    @property
    def lanes(self) -> tuple[str, ...]:
        """The lanes, in the order in which they were first seen."""
        return tuple(self._lanes)

    def of(self, *stages: Stage) -> StageTotal:
        """The totals of stages, over all lanes."""
        whole = StageTotal()
        for (_, stage), series in self._series.items():
            if stage in stages:
                part = series.total
                whole.count += part.count
                whole.busy_s += part.busy_s
                whole.cpu_s += part.cpu_s
                if whole.longest is None or (part.longest and part.longest.busy_s > whole.longest.busy_s):
                    whole.longest = part.longest
        return whole

    def total(self, lane: str, stage: Stage) -> StageTotal:
        """The total of one lane on one stage."""
        series = self._series.get((lane, stage))
        return series.total if series else StageTotal()

    def intervals(self, lane: str, stage: Stage) -> tuple[Interval, ...]:
        """The intervals of one lane on one stage, in order."""
        series = self._series.get((lane, stage))
        return tuple(series.intervals) if series else ()


class _ThreadState(threading.local):
    """State of one thread in a recorder."""

    def __init__(self) -> None:
        self.lane = lane_of(threading.current_thread().name)
        self.label = ""
        self.cpu_s = time.thread_time()
        self.sourced_s = 0.0


class TraceRecorder(Profiler):
    """Profiler that keeps its times. `measure`: bytes in use now; asked once for each stage, when it was first done."""

    def __init__(self, measure: Callable[[], int] | None = None) -> None:
        self._measure = measure
        self._lock = threading.Lock()
        self._here = _ThreadState()
        self._sources = 0
        self._sourced_s = 0.0
        self._sourced_at = 0.0
        self._recording = Recording()

    def start(self) -> None:
        """Forget everything so far: the recording starts now."""
        with self._lock:
            self._recording = Recording()
            self._recording.started = self._recording.stopped = time.perf_counter()

    def stop(self) -> Recording:
        """The recording since the start. Nothing is added to it any more."""
        with self._lock:
            done, self._recording = self._recording, Recording()
            done.stopped = time.perf_counter()
            return done

    def begin(self) -> float:
        began, here = time.perf_counter(), self._here
        with self._lock:
            here.sourced_s = self._with_a_source(began)
        here.cpu_s = time.thread_time()
        return began

    def end(self, stage: Stage, began: float, label: object = "") -> float:
        here = self._here
        cpu_s, ended = time.thread_time() - here.cpu_s, time.perf_counter()
        with self._lock:
            recording = self._recording
            start = max(began, recording.started)
            if stage == "idle":
                recording.starved_s += max(0.0, min(self._with_a_source(ended) - here.sourced_s, ended - start))
            text = (str(label) or here.label)[-_LABEL:]
            recording.add(here.lane, stage, Interval(start, ended, ended - start, text), cpu_s)
            if self._measure is not None and stage not in recording.first_bytes:
                recording.first_bytes[stage] = self._measure()
        return ended - began

    def record_allocation(self, stage: Stage, size: int) -> None:
        with self._lock:
            most = self._recording.max_growth
            most[stage] = max(most.get(stage, 0), size)

    @contextmanager
    def source(self, name: str) -> Iterator[None]:
        self._here.label = name
        self._count(1)
        try:
            yield
        finally:
            self._count(-1)
            self._here.label = ""

    def _count(self, change: int) -> None:
        with self._lock:
            now = time.perf_counter()
            self._sourced_s, self._sourced_at = self._with_a_source(now), now
            self._sources += change

    def _with_a_source(self, now: float) -> float:
        """Seconds until now in which at least one source was being read; only ever grows."""
        return self._sourced_s + (max(0.0, now - self._sourced_at) if self._sources else 0.0)


def lane_of(thread: str) -> str:
    """`decode 2` for the second decoder's thread, a device for its own, `caller` for those that are not Overtone's."""
    if not thread.startswith("overtone-"):
        return "caller"
    name, underscore, number = thread.removeprefix("overtone-").rpartition("_")
    return f"{name} {int(number) + 1}" if underscore and number.isdigit() else thread.removeprefix("overtone-")
