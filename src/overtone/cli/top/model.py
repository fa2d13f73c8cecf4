"""Dashboard of a running service, from two scrapes of it. Pure: no network, no clock, no drawing."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from overtone.cli.top.prometheus_text import MetricSamples, quantile

WINDOW_S: Final = 30.0
"""Rates are over this long, so that a service that gets few requests still shows them steadily."""

PROBES: Final = frozenset(("/metrics", "/health", "/healthz", "/livez", "/readyz"))
"""Routes that machines ask: this view too. They would make every service look busy and fast."""

_STREAMS: Final = "WEBSOCKET"


@dataclass(frozen=True, slots=True)
class RequestLatency:
    """Latency of requests: half of them, and 95 of 100, took no longer; None where there were none."""

    p50_s: float | None = None
    p95_s: float | None = None


@dataclass(frozen=True, slots=True)
class RouteRates:
    """One route's requests per second, its latency, and the share that was answered with 4xx or 5xx."""

    name: str
    rate: float
    latency: RequestLatency
    failed: float


@dataclass(frozen=True, slots=True)
class WorkRates:
    """Rates of the model's work. None where nothing ran.

    - `busy`: share of the time, over all devices.
    - `fill`: share of the seconds run that was audio and no padding.
    """

    busy: float | None
    fill: float | None
    segments_per_batch: float | None
    realtime: float


@dataclass(frozen=True, slots=True)
class MemoryUsage:
    """Bytes: in use now, at the peak, as planned, and as given."""

    now: float
    peak: float
    planned: float
    budget: float


@dataclass(frozen=True, slots=True)
class CacheRates:
    """Hit rates of the cache. `hits`: share of the answers that were not computed, lately (None: there were none)
    and since the start.
    """

    hits: float | None
    hits_ever: float
    bytes: float
    healthy: bool


@dataclass(frozen=True, slots=True)
class DashboardModel:
    """A service at a glance.

    Probes are left out of requests, latency and routes, and streams, which last as long as somebody speaks, out of
    latency.

    - `over_s`: the interval of rates; None at the first look, when nothing that needs two scrapes is known.
    - `requests`: per second, by class of status (`2xx`).
    - `stages`: mean seconds of a source.
    - `queue_s`: seconds of audio, by class.
    - `splits`, `restarts`, `refused` (by code): since the start.
    """

    about: Mapping[str, str]
    ready: bool
    reason: str
    up_s: float
    over_s: float | None
    requests: Mapping[str, float]
    latency: RequestLatency
    routes: tuple[RouteRates, ...]
    stages: Mapping[str, float]
    work: WorkRates
    queue_s: Mapping[str, float]
    queue_bytes: float
    uploads_bytes: float
    memory: MemoryUsage
    cache: CacheRates
    jobs: Mapping[str, float]
    live_streams: float
    splits: float
    restarts: float
    refused: Mapping[str, float]


class MetricsWindow:
    """Recent scrapes, to compare each new one with."""

    def __init__(self, seconds: float = WINDOW_S) -> None:
        self._seconds = seconds
        self._scrapes: deque[MetricSamples] = deque()

    def add(self, now: MetricSamples) -> DashboardModel:
        """The dashboard from this scrape and the oldest that still counts."""
        if self._scrapes and _started(self._scrapes[-1]) != _started(now):
            self._scrapes.clear()  # another process: nothing continues
        self._scrapes.append(now)
        while len(self._scrapes) > 2 and now.at_s - self._scrapes[1].at_s >= self._seconds:
            self._scrapes.popleft()
        return view(self._scrapes[0] if len(self._scrapes) > 1 else None, now)


def view(before: MetricSamples | None, now: MetricSamples) -> DashboardModel:
    """The dashboard between two scrapes, or at a single one."""
    since = None if before is None or now.at_s <= before.at_s else before
    return DashboardModel(
        about=now.labels("overtone_build_info"),
        ready=now.ready,
        reason=now.reason,
        up_s=max(0.0, now.unix_s - _started(now)),
        over_s=None if since is None else now.at_s - since.at_s,
        requests={} if since is None else _requests(since, now),
        latency=RequestLatency() if since is None else _latency(since, now),
        routes=() if since is None else _routes(since, now),
        stages={} if since is None else _stages(since, now),
        work=_work(since, now),
        queue_s=now.values_by_label("overtone_queue_audio_seconds", "class"),
        queue_bytes=now.value("overtone_queue_bytes"),
        uploads_bytes=now.value("overtone_uploads_bytes"),
        memory=MemoryUsage(
            *(now.value(f"overtone_memory_{what}_bytes") for what in ("resident", "peak", "planned", "budget"))
        ),
        cache=_cache(since, now),
        jobs=now.values_by_label("overtone_jobs", "state"),
        live_streams=now.value("overtone_live_streams"),
        splits=now.value("overtone_engine_splits_total"),
        restarts=now.value("overtone_restarts_total"),
        refused=now.values_by_label("overtone_refused_total", "code"),
    )


def _started(scrape: MetricSamples) -> float:
    return scrape.value("overtone_start_time_seconds")


def _requests(before: MetricSamples, now: MetricSamples) -> dict[str, float]:
    rates: dict[str, float] = {}
    for labels, grown in now.increase_since(before, "overtone_request_seconds_count"):
        if labels.get("route") not in PROBES:
            kind = f"{labels.get('status', '')[:1]}xx"
            rates[kind] = rates.get(kind, 0.0) + grown / (now.at_s - before.at_s)
    return dict(sorted(rates.items()))


def _latency(before: MetricSamples, now: MetricSamples, only: tuple[str, str] | None = None) -> RequestLatency:
    """Latency of one method and route, or of all but probes and streams."""
    buckets: dict[float, float] = {}
    for labels, grown in now.increase_since(before, "overtone_request_seconds_bucket"):
        method, route = labels.get("method", ""), labels.get("route", "")
        if (method, route) == only or (only is None and route not in PROBES and method != _STREAMS):
            bound = float(labels.get("le", math.inf))
            buckets[bound] = buckets.get(bound, 0.0) + grown
    return RequestLatency(quantile(0.5, buckets), quantile(0.95, buckets))


def _routes(before: MetricSamples, now: MetricSamples) -> tuple[RouteRates, ...]:
    """Routes with requests, those with the most first."""
    asked: dict[tuple[str, str], float] = {}
    failed: dict[tuple[str, str], float] = {}
    for labels, grown in now.increase_since(before, "overtone_request_seconds_count"):
        key = labels.get("method", ""), labels.get("route", "")
        if grown and key[1] not in PROBES:
            asked[key] = asked.get(key, 0.0) + grown
            failed[key] = failed.get(key, 0.0) + (grown if labels.get("status", "") >= "400" else 0.0)
    most_first = sorted(asked.items(), key=lambda item: (-item[1], item[0]))
    return tuple(
        RouteRates(" ".join(key), count / (now.at_s - before.at_s), _latency(before, now, key), failed[key] / count)
        for key, count in most_first
    )


def _stages(before: MetricSamples, now: MetricSamples) -> dict[str, float]:
    counts = {
        labels.get("stage", ""): grown for labels, grown in now.increase_since(before, "overtone_stage_seconds_count")
    }
    spent = {
        labels.get("stage", ""): grown for labels, grown in now.increase_since(before, "overtone_stage_seconds_sum")
    }
    return {stage: spent.get(stage, 0.0) / count for stage, count in counts.items() if count}


def _work(before: MetricSamples | None, now: MetricSamples) -> WorkRates:
    realtime = now.value("overtone_realtime_ratio")
    if before is None:
        return WorkRates(None, None, None, realtime)
    batches, segments, audio_s, padded_s, run_s = (
        sum(grown for _, grown in now.increase_since(before, f"overtone_engine_{what}_total"))
        for what in ("batches", "segments", "audio_seconds", "padded_seconds", "run_seconds")
    )
    devices = max(1.0, now.value("overtone_devices"))
    return WorkRates(
        # A batch is counted when it ends, though it may have begun before the window did.
        busy=min(1.0, run_s / (now.at_s - before.at_s) / devices),
        fill=audio_s / padded_s if padded_s else None,
        segments_per_batch=segments / batches if batches else None,
        realtime=realtime,
    )


def _cache(before: MetricSamples | None, now: MetricSamples) -> CacheRates:
    name = "overtone_cache_lookups_total"
    grown = (
        {} if before is None else {labels.get("result"): count for labels, count in now.increase_since(before, name)}
    )
    asked = sum(grown.values())
    return CacheRates(
        hits=1 - grown.get("miss", 0.0) / asked if asked else None,
        hits_ever=now.value("overtone_cache_hit_ratio"),
        bytes=now.value("overtone_cache_bytes"),
        healthy=bool(now.value("overtone_cache_healthy")),
    )
