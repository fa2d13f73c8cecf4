"""A service's numbers, made up, and what `Metrics` makes of them."""

from __future__ import annotations

import dataclasses

from overtone.engine.stats import EngineStats
from overtone.results import Timings
from overtone.server.observability.metrics import Metrics, Snapshot

GIB = 1 << 30

SNAPSHOT = Snapshot(
    queue_seconds={"interactive": 3.25, "jobs": 310.0, "live": 0.0},
    queue_bytes=12 << 20,
    uploads_bytes=30 << 20,
    engine=EngineStats(batches=10, segments=50, audio_s=90.0, padded_s=100.0, run_s=20.0, idle_s=3.0, splits=1),
    memory_budget_bytes=2 * GIB,
    memory_planned_bytes=GIB * 9 // 5,
    memory_resident_bytes=GIB * 6 // 5,
    memory_peak_bytes=GIB * 3 // 2,
    cache_hits=5,
    cache_shared=1,
    cache_misses=4,
    cache_rejected=2,
    cache_bytes=3 << 20,
    cache_healthy=True,
    jobs={"queued": 3, "running": 1, "done": 22},
    live_streams=2,
    ready=True,
    restarts=0,
    audio_seconds_rate=14.25,
    model="tiny",
    precision="fp32",
    device="cpu",
)

TIMINGS = Timings(decode_s=0.012, cut_s=0.003, wait_s=0.04, run_s=0.12, merge_s=0.001, total_s=0.15)


class Source:
    """Gives whatever snapshot it holds."""

    def __init__(self, snapshot: Snapshot = SNAPSHOT) -> None:
        self.now = snapshot

    def snapshot(self) -> Snapshot:
        return self.now

    def change(self, **changes: object) -> None:
        self.now = dataclasses.replace(self.now, **changes)


def metrics_with_all(source: Source | None = None) -> Metrics:
    """Metrics to which every kind of event has happened."""
    metrics = Metrics(source or Source())
    metrics.request("/v1/emotion", "POST", 200, 0.2)
    metrics.stage(TIMINGS)
    metrics.refused("busy")
    metrics.audio(3.5, "interactive")
    return metrics
