"""What Prometheus is told: names, numbers and labels, and that nobody from outside can make more of them."""

from __future__ import annotations

import re

import prometheus_client
import pytest
from prometheus_client.parser import text_string_to_metric_families

import overtone
from helpers.server.exposing import SNAPSHOT, TIMINGS, Source, metrics_with_all
from overtone.engine.stats import EngineStats
from overtone.results import Timings
from overtone.server.observability.metrics import OTHER, REQUEST_BUCKETS_S, STAGES, UNMATCHED, Metrics, server_timing


def text(metrics: Metrics) -> str:
    return metrics.exposition()[0].decode()


def samples(metrics: Metrics) -> dict[tuple[str, frozenset], float]:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text(metrics))
        for sample in family.samples
    }


def value(metrics: Metrics, name: str, **labels: str) -> float:
    return samples(metrics)[name, frozenset(labels.items())]


def label_values(metrics: Metrics, name: str, label: str) -> set[str]:
    return {dict(labels)[label] for sample, labels in samples(metrics) if sample == name}


@pytest.mark.parametrize(
    ("name", "labels", "expected"),
    [
        (
            "overtone_build_info",
            {"version": overtone.__version__, "model": "tiny", "precision": "fp32", "device": "cpu"},
            1,
        ),
        ("overtone_ready", {}, 1),
        ("overtone_devices", {}, 1),
        ("overtone_restarts_total", {}, 0),
        ("overtone_queue_audio_seconds", {"class": "interactive"}, 3.25),
        ("overtone_queue_audio_seconds", {"class": "jobs"}, 310),
        ("overtone_queue_audio_seconds", {"class": "live"}, 0),
        ("overtone_queue_bytes", {}, 12 << 20),
        ("overtone_uploads_bytes", {}, 30 << 20),
        ("overtone_jobs", {"state": "queued"}, 3),
        ("overtone_jobs", {"state": "done"}, 22),
        ("overtone_live_streams", {}, 2),
        ("overtone_engine_batches_total", {}, 10),
        ("overtone_engine_segments_total", {}, 50),
        ("overtone_engine_audio_seconds_total", {}, 90),
        ("overtone_engine_padded_seconds_total", {}, 100),
        ("overtone_engine_run_seconds_total", {}, 20),
        ("overtone_engine_idle_seconds_total", {}, 3),
        ("overtone_engine_splits_total", {}, 1),
        ("overtone_batch_fill_ratio", {}, 0.9),
        ("overtone_realtime_ratio", {}, 14.25),
        ("overtone_memory_budget_bytes", {}, SNAPSHOT.memory_budget_bytes),
        ("overtone_memory_planned_bytes", {}, SNAPSHOT.memory_planned_bytes),
        ("overtone_memory_resident_bytes", {}, SNAPSHOT.memory_resident_bytes),
        ("overtone_memory_peak_bytes", {}, SNAPSHOT.memory_peak_bytes),
        ("overtone_cache_lookups_total", {"result": "hit"}, 5),
        ("overtone_cache_lookups_total", {"result": "shared"}, 1),
        ("overtone_cache_lookups_total", {"result": "miss"}, 4),
        ("overtone_cache_hit_ratio", {}, 0.6),
        ("overtone_cache_rejected_total", {}, 2),
        ("overtone_cache_bytes", {}, 3 << 20),
        ("overtone_cache_healthy", {}, 1),
        ("overtone_refused_total", {"code": "busy"}, 1),
        ("overtone_audio_seconds_total", {"kind": "interactive", "task": "emotion"}, 3.5),
        ("overtone_stage_seconds_sum", {"stage": "run"}, 0.12),
        ("overtone_stage_seconds_count", {"stage": "merge"}, 1),
        ("overtone_request_seconds_count", {"route": "/v1/emotion", "method": "POST", "status": "200"}, 1),
    ],
)
def test_every_number_is_told(name, labels, expected):
    # The text holds ten digits of large numbers.
    assert value(metrics_with_all(), name, **labels) == pytest.approx(expected, rel=1e-9)


def test_a_scrape_reads_the_state_as_it_is_then():
    source = Source()
    metrics = Metrics(source)
    assert value(metrics, "overtone_ready") == 1
    source.change(ready=False, jobs={"queued": 4}, engine=EngineStats(batches=11))
    assert value(metrics, "overtone_ready") == 0
    assert value(metrics, "overtone_engine_batches_total") == 11
    assert label_values(metrics, "overtone_jobs", "state") == {"queued"}


def test_ratios_of_nothing_are_no_fault():
    source = Source()
    source.change(engine=EngineStats(), cache_hits=0, cache_shared=0, cache_misses=0)
    assert value(Metrics(source), "overtone_batch_fill_ratio") == 1
    assert value(Metrics(source), "overtone_cache_hit_ratio") == 0


def test_a_request_is_in_its_bucket():
    metrics = Metrics(Source())
    metrics.request("/v1/emotion", "POST", 200, 0.2)
    name, labels = "overtone_request_seconds_bucket", {"route": "/v1/emotion", "method": "POST", "status": "200"}
    assert value(metrics, name, le="0.1", **labels) == 0
    assert value(metrics, name, le="0.25", **labels) == 1
    assert value(metrics, name, le="300.0", **labels) == 1
    assert (REQUEST_BUCKETS_S[0], REQUEST_BUCKETS_S[-1]) == (0.005, 300)


def test_each_stage_gets_its_own_seconds():
    metrics = Metrics(Source())
    metrics.stage(Timings(1.0, 2.0, 3.0, 4.0, 5.0, 6.0))
    metrics.stage(Timings(1.0, 2.0, 3.0, 4.0, 5.0, 6.0))
    sums = {stage: value(metrics, "overtone_stage_seconds_sum", stage=stage) for stage in STAGES}
    assert sums == {"decode": 2, "cut": 4, "wait": 6, "run": 8, "merge": 10}


def test_labels_from_outside_are_bounded():
    metrics = Metrics(Source())
    for number in range(500):
        metrics.request(None, f"M{number}", 404, 0.01)
        metrics.request(f"/guessed/{number}", "GET", 404, 0.01)
        metrics.refused(f"code{number}")
        metrics.audio(1.0, f"kind{number}")
    name = "overtone_request_seconds_count"
    assert label_values(metrics, name, "method") == {OTHER, "GET"}
    routes = label_values(metrics, name, "route")
    assert {UNMATCHED, OTHER} < routes
    assert len(routes) < 100
    assert len(label_values(metrics, "overtone_refused_total", "code")) < 100
    assert len(label_values(metrics, "overtone_audio_seconds_total", "kind")) < 100
    counts = [count for (sample, _), count in samples(metrics).items() if sample == name]
    assert sum(counts) == 1000  # what has no name of its own is counted all the same


def test_the_process_wide_registry_is_left_alone():
    before = set(prometheus_client.REGISTRY._names_to_collectors)
    first, second = metrics_with_all(), Metrics(Source())  # two in one process do not meet
    assert set(prometheus_client.REGISTRY._names_to_collectors) == before
    assert ("overtone_refused_total", frozenset({("code", "busy")})) in samples(first)
    assert "overtone_refused_total" not in {name for name, _ in samples(second)}


def test_the_content_type_names_the_format():
    assert metrics_with_all().exposition()[1] == "text/plain; version=0.0.4; charset=utf-8"


# What `promtool check metrics` would say

UNITS = ("_seconds", "_bytes", "_ratio", "_info")
COUNTS = {
    "overtone_ready",
    "overtone_devices",
    "overtone_jobs",
    "overtone_live_streams",
    "overtone_cache_healthy",
    "process_open_fds",
    "process_max_fds",
}
"""Gauges that count things, and so have no unit."""


def declared() -> dict[str, str]:
    """Every metric's type, by its name."""
    return dict(re.findall(r"^# TYPE (\S+) (\S+)$", text(metrics_with_all()), re.MULTILINE))


def test_every_metric_is_described_once():
    lines = text(metrics_with_all()).splitlines()
    helped = [line.split(" ", 3) for line in lines if line.startswith("# HELP ")]
    names = [words[2] for words in helped]
    assert len(names) == len(set(names))
    assert set(names) == set(declared())
    for words in helped:
        assert words[3].endswith("."), words
    for name, _ in samples(metrics_with_all()):
        assert name in declared() or re.sub(r"_(bucket|sum|count)$", "", name) in declared(), name


def test_names_end_as_prometheus_wants_them():
    for name, kind in declared().items():
        assert re.fullmatch(r"(overtone|process)_[a-z_]+", name)
        assert kind in ("counter", "gauge", "histogram")
        assert name.endswith("_total") == (kind == "counter"), name
        bare = name.removesuffix("_total")
        if kind != "counter":
            assert bare.endswith(UNITS) or bare in COUNTS, name
        assert not re.search(r"_(ms|milliseconds|minutes|kb|mb|mib|percent|created)(_|$)", name), name


# Server-Timing


def test_server_timing_is_in_milliseconds():
    assert server_timing(TIMINGS, {"upload": 0.02}) == (
        "decode;dur=12.0, cut;dur=3.0, wait;dur=40.0, run;dur=120.0, merge;dur=1.0, upload;dur=20.0, total;dur=150.0"
    )


@pytest.mark.parametrize("name", ["", "two words", "a;b", "a,b", "a\r\nSet-Cookie: b", "ä"])
def test_server_timing_takes_names_that_a_header_can_hold(name):
    with pytest.raises(ValueError, match="header"):
        server_timing(TIMINGS, {name: 1.0})
