"""Snapshot of the service's state, read on demand, and its form as Prometheus metrics."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily
from prometheus_client.metrics_core import Metric

import overtone
from overtone.engine.stats import EngineStats


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The state of the service now.

    - `queue_seconds`: seconds of audio that wait for the model, by class: interactive, jobs, live.
    - `engine`: totals of the engines together since the service started.
    - `devices`: how many of them there are.
    - `memory_planned_bytes`: resident, audio in flight and one batch, as they were planned.
    - `memory_resident_bytes`: in use now.
    - `cache_shared`: requests that waited for the same audio to be answered for another.
    - `cache_rejected`: values found in the cache that were not taken for answers.
    - `jobs`: how many are in each state.
    - `restarts`: how often the engine was started again.
    - `audio_seconds_rate`: seconds of audio answered per second, over the last while.
    - `model`, `precision`, `device`: of the emotion model, where they are known.
    - `transcriber`: the recognition model, if there is one.
    """

    queue_seconds: Mapping[str, float]
    queue_bytes: int
    uploads_bytes: int
    engine: EngineStats
    memory_budget_bytes: int
    memory_planned_bytes: int
    memory_resident_bytes: int
    memory_peak_bytes: int
    cache_hits: int
    cache_shared: int
    cache_misses: int
    cache_rejected: int
    cache_bytes: int
    cache_healthy: bool
    jobs: Mapping[str, int]
    live_streams: int
    ready: bool
    restarts: int
    audio_seconds_rate: float
    devices: int = 1
    model: str = ""
    precision: str = ""
    device: str = ""
    transcriber: str = ""


class Gauges(Protocol):
    """Provider of the service's state. Asked at every scrape, so an answer has to be cheap."""

    def snapshot(self) -> Snapshot:
        """The state now."""
        ...


def families(now: Snapshot) -> Iterator[Metric]:
    """A snapshot as Prometheus' metrics. Shares, other than at a glance, are for the reader to make from counters."""
    build = {"version": overtone.__version__, "model": now.model, "precision": now.precision, "device": now.device}
    if now.transcriber:
        build["transcriber"] = now.transcriber
    yield InfoMetricFamily("overtone_build", "What answers: the version, the model and what runs it.", value=build)
    yield _gauge("overtone_ready", "1 if requests are taken, 0 if not, as /readyz says.", now.ready)
    yield _gauge("overtone_devices", "Devices that run the model.", now.devices)
    yield _counter("overtone_restarts", "Times the engine was started again after it stopped working.", now.restarts)
    yield from _queue(now)
    yield from _engine(now.engine)
    yield _gauge(
        "overtone_realtime_ratio",
        "Seconds of audio answered per second, over the last while: how many times faster than real time.",
        now.audio_seconds_rate,
    )
    yield from _memory(now)
    yield from _cache(now)


def _queue(now: Snapshot) -> Iterator[Metric]:
    text = "Seconds of audio that wait for the model, by the class of who asked."
    yield _by("overtone_queue_audio_seconds", text, "class", now.queue_seconds)
    yield _gauge("overtone_queue_bytes", "Bytes of decoded audio that wait or run.", now.queue_bytes)
    yield _gauge("overtone_uploads_bytes", "Bytes of uploads that are kept until they are answered.", now.uploads_bytes)
    yield _by("overtone_jobs", "Jobs, by their state.", "state", now.jobs)
    yield _gauge("overtone_live_streams", "Live streams that are open.", now.live_streams)


def _engine(stats: EngineStats) -> Iterator[Metric]:
    # The engine's thread goes on counting; each number is read once so that the ratio is that of the two beside it.
    audio_s, padded_s = stats.audio_s, stats.padded_s
    yield _counter("overtone_engine_batches", "Batches run.", stats.batches)
    yield _counter("overtone_engine_segments", "Segments run.", stats.segments)
    yield _counter("overtone_engine_audio_seconds", "Seconds of audio run, without padding.", audio_s)
    yield _counter("overtone_engine_padded_seconds", "Seconds of audio run, with padding: what was paid for.", padded_s)
    yield _counter("overtone_engine_run_seconds", "Seconds spent running batches, over all devices.", stats.run_s)
    yield _counter("overtone_engine_idle_seconds", "Seconds spent with nothing to run, over all devices.", stats.idle_s)
    text = "Batches of jobs that gave way to somebody who came, and were begun again."
    yield _counter("overtone_engine_interrupted", text, stats.interrupted)
    yield _counter("overtone_engine_splits", "Batches halved because memory ran out.", stats.splits)
    yield _gauge(
        "overtone_batch_fill_ratio",
        "Share of the seconds run since the start that was audio; the rest was padding.",
        audio_s / padded_s if padded_s else 1.0,
    )


def _memory(now: Snapshot) -> Iterator[Metric]:
    yield _gauge("overtone_memory_budget_bytes", "Memory the service was given.", now.memory_budget_bytes)
    text = "Memory planned for: what is resident, audio in flight and one batch."
    yield _gauge("overtone_memory_planned_bytes", text, now.memory_planned_bytes)
    yield _gauge("overtone_memory_resident_bytes", "Memory in use now.", now.memory_resident_bytes)
    yield _gauge("overtone_memory_peak_bytes", "The most memory that was ever in use.", now.memory_peak_bytes)


def _cache(now: Snapshot) -> Iterator[Metric]:
    asked = {"hit": now.cache_hits, "shared": now.cache_shared, "miss": now.cache_misses}
    lookups = CounterMetricFamily(
        "overtone_cache_lookups",
        "Answers looked for: found (hit), awaited from another request (shared), computed (miss).",
        labels=["result"],
    )
    for result, count in asked.items():
        lookups.add_metric([result], count)
    yield lookups
    yield _gauge(
        "overtone_cache_hit_ratio",
        "Share of the answers since the start that did not have to be computed.",
        1 - asked["miss"] / total if (total := sum(asked.values())) else 0.0,
    )
    yield _counter(
        "overtone_cache_rejected",
        "Values in the cache that were sealed by others, changed, cut off or no answers, and so were not used.",
        now.cache_rejected,
    )
    yield _gauge("overtone_cache_bytes", "Bytes of answers that are kept.", now.cache_bytes)
    yield _gauge("overtone_cache_healthy", "1 if the cache can be read and written, 0 if not.", now.cache_healthy)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=float(value))


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(name, text, value=float(value))


def _by(name: str, text: str, label: str, values: Mapping[str, float]) -> Metric:
    family = GaugeMetricFamily(name, text, labels=[label])
    for key, value in values.items():
        family.add_metric([key], float(value))
    return family
