"""Metrics for Prometheus: events as they are pushed, and the state of the service as it is at every scrape."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, exposition
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from overtone.results import Timings
from overtone.server.observability.snapshot import Gauges, Snapshot, families

__all__ = ["OTHER", "STAGES", "UNMATCHED", "Gauges", "Metrics", "Snapshot", "server_timing"]

REQUEST_BUCKETS_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300)
"""Upper bounds in seconds, from an answer out of the cache to an hour of audio on a slow machine."""

STAGE_BUCKETS_S: Final = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)

STAGES: Final = ("decode", "cut", "wait", "run", "merge")
"""The stages of `Timings`, in order."""

UNMATCHED: Final = "unmatched"
"""The route of every request that no route takes."""

OTHER: Final = "other"
"""Any further value of a label that has enough of them."""

_METHODS: Final = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "WEBSOCKET"))
_MOST_VALUES: Final = 64
_TOKEN: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")


class Metrics:
    """Counters of events, with their exposition, in a separate registry. Thread-safe."""

    def __init__(self, gauges: Gauges) -> None:
        self._requests = Histogram(
            "overtone_request_seconds",
            "Seconds from a request to the end of its answer.",
            ("route", "method", "status"),
            buckets=REQUEST_BUCKETS_S,
            registry=None,
        )
        self._stages = Histogram(
            "overtone_stage_seconds",
            "Seconds that one source spent in each stage; stages overlap.",
            ("stage",),
            buckets=STAGE_BUCKETS_S,
            registry=None,
        )
        self._refused = Counter("overtone_refused", "Requests refused, by the code of why.", ("code",), registry=None)
        self._audio = Counter(
            "overtone_audio_seconds",
            "Seconds of audio answered, by the kind of request and what was asked.",
            ("kind", "task"),
            registry=None,
        )
        # A restarted service is told from one that only lost its counters by when it started.
        self._started = Gauge("overtone_start_time_seconds", "When the service started, Unix time.", registry=None)
        self._started.set(time.time())
        for stage in STAGES:
            self._stages.labels(stage)
        self._routes, self._codes, self._kinds, self._tasks = _Values(), _Values(), _Values(), _Values()
        self._registry = CollectorRegistry()
        self._registry.register(
            _Scrape(gauges, (self._requests, self._stages, self._refused, self._audio, self._started))
        )
        ProcessCollector(registry=self._registry)

    def request(self, route: str | None, method: str, status: int, seconds: float) -> None:
        """Count an answered request. `route`: the template, `/v1/jobs/{id}`; None where no route took it."""
        named = UNMATCHED if route is None else self._routes.bounded(route)
        self._requests.labels(named, method if method in _METHODS else OTHER, str(status)).observe(seconds)

    def stage(self, timings: Timings) -> None:
        """Count the stages of one source."""
        for stage, seconds in _stage_seconds(timings).items():
            self._stages.labels(stage).observe(seconds)

    def refused(self, code: str) -> None:
        """Count a request refused with this error code."""
        self._refused.labels(self._codes.bounded(code)).inc()

    def audio(self, seconds: float, kind: str, task: str = "emotion") -> None:
        """Count seconds of audio answered to this kind of request for this task."""
        self._audio.labels(self._kinds.bounded(kind), self._tasks.bounded(task)).inc(seconds)

    def exposition(self) -> tuple[bytes, str]:
        """Everything in Prometheus' text format, and its content type."""
        # Names and labels are plain ASCII, so that the oldest version of the format says it all to any reader.
        return exposition.generate_latest(self._registry), "text/plain; version=0.0.4; charset=utf-8"


def server_timing(timings: Timings, extra: Mapping[str, float]) -> str:
    """The value of HTTP's `Server-Timing` header, in milliseconds: the stages, `extra` (seconds by name), the total.

    ValueError if a name in `extra` is no HTTP token. Source: https://www.w3.org/TR/server-timing/
    """
    for name in extra:
        if not _TOKEN.fullmatch(name):
            raise ValueError(f"{name!r} cannot name a duration in a header")
    spent = {**_stage_seconds(timings), **extra, "total": timings.total_s}
    return ", ".join(f"{name};dur={1000 * seconds:.1f}" for name, seconds in spent.items())


def _stage_seconds(timings: Timings) -> dict[str, float]:
    return {stage: getattr(timings, f"{stage}_s") for stage in STAGES}


class _Values:
    """Values that a label has had: so many and no more, whatever callers pass on from outside."""

    def __init__(self) -> None:
        self._seen: set[str] = set()

    def bounded(self, value: str) -> str:
        if value not in self._seen:
            if len(self._seen) >= _MOST_VALUES:
                return OTHER
            self._seen.add(value)
        return value


class _Scrape(Collector):
    """Collector of one scrape."""

    def __init__(self, gauges: Gauges, pushed: tuple[MetricWrapperBase, ...]) -> None:
        self._gauges = gauges
        self._pushed = pushed

    def collect(self) -> Iterable[Metric]:
        yield from families(self._gauges.snapshot())
        for wrapper in self._pushed:
            for metric in wrapper.collect():
                # When each series began doubles their number and helps nobody; the switch for it is the process's.
                metric.samples = [sample for sample in metric.samples if not sample.name.endswith("_created")]
                yield metric
