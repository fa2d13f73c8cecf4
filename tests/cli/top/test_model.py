"""What two scrapes say of a service: rates, quantiles, shares; resets and restarts; a window that slides."""

from __future__ import annotations

import math

import pytest

from helpers.server.exposing import GIB, TIMINGS, Source
from overtone.cli.top.model import PROBES, MetricsWindow, RequestLatency, view
from overtone.cli.top.prometheus_text import MetricSamples, parse, quantile
from overtone.engine.stats import EngineStats
from overtone.server.observability.metrics import Metrics


def scrape(metrics: Metrics, at_s: float, **more: object) -> MetricSamples:
    return MetricSamples(at_s, 1000.0 + at_s, parse(metrics.exposition()[0].decode()), **more)


def scrape_of(text: str, at_s: float = 0.0) -> MetricSamples:
    return MetricSamples(at_s, at_s, parse(text))


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.fixture
def metrics(source: Source) -> Metrics:
    return Metrics(source)


# Quantiles

INF = math.inf


@pytest.mark.parametrize(
    ("buckets", "share", "expected"),
    [
        ({}, 0.5, None),
        ({1.0: 0, INF: 0}, 0.5, None),
        ({1.0: 10, INF: 10}, 0.5, 0.5),  # spread evenly from zero
        ({1.0: 10, 2.0: 20, INF: 20}, 0.5, 1.0),
        ({1.0: 10, 2.0: 20, INF: 20}, 0.75, 1.5),
        ({1.0: 0, 2.0: 0, 4.0: 8, INF: 8}, 0.5, 3.0),  # empty buckets below
        ({1.0: 5, 2.0: 5, 4.0: 10, INF: 10}, 0.5, 1.0),  # the rank falls on a bound
        ({1.0: 1, 2.0: 2, INF: 10}, 0.95, 2.0),  # past the last finite bound
        ({INF: 10}, 0.5, 0.0),
        ({2.0: 20, INF: 20, 1.0: 10}, 0.75, 1.5),  # in whatever order
        ({1.0: 10, INF: 10}, 1.0, 1.0),
        ({1.0: 10, INF: 10}, 0.0, 0.0),
    ],
)
def test_quantiles_are_those_of_prometheus(buckets, share, expected):
    assert quantile(share, buckets) == (None if expected is None else pytest.approx(expected))


# Reading


def test_what_is_no_exposition_is_told():
    for text in ("<!doctype html><html><body class=x>hello</body></html>", '{"a": 1}', "a b c d", "# TYPE a"):
        with pytest.raises(ValueError, match="format"):
            parse(text)


def test_labels_are_made_fit_for_a_terminal():
    (labels,) = parse('a{route="x\x1b[2J"} 1\n')["a"]
    assert dict(labels) == {"route": "x\\x1b[2J"}


def test_what_is_not_a_number_is_left_out():
    assert parse("a NaN\nb +Inf\nc 1\n") == {"c": {frozenset(): 1.0}}


@pytest.mark.parametrize(("before", "now", "expected"), [(3, 5, 2), (5, 5, 0), (5, 2, 2), (None, 4, 4)])
def test_a_counter_that_fell_was_reset(before, now, expected):
    earlier = scrape_of("" if before is None else f"a_total {before}\n")
    assert [grown for _, grown in scrape_of(f"a_total {now}\n").increase_since(earlier, "a_total")] == [expected]


# The view


def test_the_first_look_has_the_state_and_no_rates(metrics):
    metrics.request("/v1/emotion", "POST", 200, 0.2)
    seen = view(None, scrape(metrics, 5.0))
    assert seen.over_s is None
    assert (seen.requests, seen.latency, seen.routes, seen.stages) == ({}, RequestLatency(), (), {})
    assert (seen.work.busy, seen.work.fill, seen.work.segments_per_batch, seen.cache.hits) == (None, None, None, None)
    assert seen.work.realtime == 14.25
    assert dict(seen.about)["model"] == "tiny"
    assert seen.queue_s == {"interactive": 3.25, "jobs": 310, "live": 0}
    assert list(seen.jobs.items()) == [("queued", 3), ("running", 1), ("done", 22)]  # as the service orders them
    assert (seen.memory.now, seen.memory.budget) == (pytest.approx(1.2 * GIB), 2 * GIB)
    assert (seen.memory.peak, seen.memory.planned) == (1.5 * GIB, pytest.approx(1.8 * GIB))
    assert (seen.cache.hits_ever, seen.cache.healthy) == (0.6, True)
    assert (seen.live_streams, seen.splits, seen.restarts) == (2, 1, 0)


def test_rates_are_over_the_time_between(metrics):
    before = scrape(metrics, 10.0)
    for status, count in ((200, 6), (202, 2), (404, 3), (429, 1), (503, 4)):
        for _ in range(count):
            metrics.request("/v1/emotion", "POST", status, 0.2)
    seen = view(before, scrape(metrics, 14.0))
    assert seen.over_s == 4
    assert seen.requests == {"2xx": 2, "4xx": 1, "5xx": 1}
    (route,) = seen.routes
    assert (route.name, route.rate, route.failed) == ("POST /v1/emotion", 4, 0.5)


def test_latency_is_of_what_came_between(metrics):
    for _ in range(1000):
        metrics.request("/v1/emotion", "POST", 200, 100.0)  # slow, and before
    before = scrape(metrics, 0.0)
    for _ in range(10):
        metrics.request("/v1/emotion", "POST", 200, 0.2)
    latency = view(before, scrape(metrics, 1.0)).latency
    assert latency.p50_s == pytest.approx(0.175)  # the middle of 0.1 to 0.25
    assert latency.p95_s == pytest.approx(0.2425)


def test_probes_and_streams_do_not_count_as_fast_or_slow(metrics):
    before = scrape(metrics, 0.0)
    for route in PROBES:
        metrics.request(route, "GET", 200, 0.001)
    assert view(before, scrape(metrics, 1.0)).latency == RequestLatency()
    assert view(before, scrape(metrics, 1.0)).requests == {}
    metrics.request("/v1/live", "WEBSOCKET", 101, 200.0)
    seen = view(before, scrape(metrics, 1.0))
    assert seen.latency == RequestLatency()
    assert [route.name for route in seen.routes] == ["WEBSOCKET /v1/live"]


def test_routes_with_the_most_requests_come_first(metrics):
    before = scrape(metrics, 0.0)
    for route, count in (("/a", 1), ("/b", 3), ("/c", 2)):
        for _ in range(count):
            metrics.request(route, "GET", 200, 0.02)
    metrics.request(None, "GET", 404, 0.02)
    names = [route.name for route in view(before, scrape(metrics, 1.0)).routes]
    assert names == ["GET /b", "GET /c", "GET /a", "GET unmatched"]


@pytest.mark.parametrize(
    ("devices", "more", "busy", "fill", "each"),
    [
        (1, {}, 0.0, None, None),
        (1, {"batches": 12, "segments": 60, "audio_s": 120.0, "padded_s": 140.0, "run_s": 25.0}, 0.5, 0.75, 5),
        (2, {"batches": 12, "segments": 60, "audio_s": 120.0, "padded_s": 140.0, "run_s": 25.0}, 0.25, 0.75, 5),
        (1, {"run_s": 60.0}, 1.0, None, None),  # a batch that began before the window
    ],
)
def test_what_the_model_does(source, metrics, devices, more, busy, fill, each):
    base = {"batches": 10, "segments": 50, "audio_s": 90.0, "padded_s": 100.0, "run_s": 20.0}
    source.change(devices=devices, engine=EngineStats(**base))
    before = scrape(metrics, 0.0)
    source.change(engine=EngineStats(**(base | more)))
    work = view(before, scrape(metrics, 10.0)).work
    assert (work.busy, work.fill, work.segments_per_batch) == (busy, fill, each)


@pytest.mark.parametrize(
    ("hits", "shared", "misses", "expected"), [(0, 0, 0, None), (3, 0, 1, 0.75), (2, 1, 1, 0.75), (0, 0, 4, 0.0)]
)
def test_cache_hits_are_of_what_came_between(source, metrics, hits, shared, misses, expected):
    before = scrape(metrics, 0.0)
    source.change(cache_hits=5 + hits, cache_shared=1 + shared, cache_misses=4 + misses)
    assert view(before, scrape(metrics, 1.0)).cache.hits == expected


def test_stages_are_means(metrics):
    before = scrape(metrics, 0.0)
    metrics.stage(TIMINGS)
    metrics.stage(TIMINGS)
    stages = view(before, scrape(metrics, 1.0)).stages
    assert list(stages) == ["decode", "cut", "wait", "run", "merge"]
    assert stages["run"] == pytest.approx(TIMINGS.run_s)


def test_two_looks_at_one_moment_are_one(metrics):
    now = scrape(metrics, 1.0)
    assert view(now, now).over_s is None


def test_a_service_that_says_nothing_is_seen_as_nothing():
    empty = scrape_of("overtone_ready 1\n")
    seen = view(empty, scrape_of("overtone_ready 1\n", 1.0))
    assert (seen.requests, seen.routes, seen.memory.budget, seen.work.busy) == ({}, (), 0, 0)


# The window


def test_the_window_slides(metrics):
    window = MetricsWindow(10)
    assert [window.add(scrape(metrics, at)).over_s for at in (0.0, 4.0, 8.0, 12.0, 16.0, 20.0, 50.0)] == [
        None,
        4,
        8,
        12,  # the scrape at 0 is the youngest that is old enough
        12,
        12,
        30,
    ]


def test_a_restarted_service_is_looked_at_anew(source):
    window = MetricsWindow(10)
    window.add(scrape_of("overtone_start_time_seconds 100\n", 0.0))
    assert window.add(scrape_of("overtone_start_time_seconds 100\n", 1.0)).over_s == 1
    assert window.add(scrape_of("overtone_start_time_seconds 101\n", 2.0)).over_s is None
    assert window.add(scrape_of("overtone_start_time_seconds 101\n", 3.0)).over_s == 1
