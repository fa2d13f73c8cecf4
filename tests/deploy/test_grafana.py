"""The dashboard: well-formed, and about metrics that exist."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from helpers.paths import ROOT
from helpers.server.exposing import metrics_with_all
from overtone.cli.top.model import PROBES

DASHBOARD = ROOT / "deploy" / "grafana" / "overtone.json"


@pytest.fixture(scope="module")
def dashboard() -> dict[str, Any]:
    return json.loads(DASHBOARD.read_text(encoding="utf-8"))


def expressions(dashboard: dict[str, Any]) -> Iterator[str]:
    for panel in dashboard["panels"]:
        yield from (target["expr"] for target in panel.get("targets", ()))
    yield from (entry["expr"] for entry in dashboard["annotations"]["list"])
    yield from (entry["definition"] for entry in dashboard["templating"]["list"] if entry["type"] == "query")


def exposed() -> dict[str, set[str]]:
    """The labels of every sample, by its name; `instance` is what Prometheus adds."""
    labels: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(metrics_with_all().exposition()[0].decode()):
        for sample in family.samples:
            labels.setdefault(sample.name, {"instance"}).update(sample.labels)
    return labels


def test_every_metric_it_asks_for_is_exposed(dashboard):
    known, asked = exposed(), set()
    for expression in expressions(dashboard):
        for name, selector in re.findall(r"\b((?:overtone|process)_\w+)(?:\{(.*?)\})?", expression):
            assert name in known, expression
            asked.add(name)
            selectors = re.findall(r"(\w+)\s*[=!]~?", re.sub(r'"[^"]*"', "", selector))
            assert set(selectors) <= known[name], expression
        for grouped in re.findall(r"\bby \(([^)]*)\)", expression):
            wanted = set(re.split(r",\s*", grouped))
            assert any(wanted <= known[name] for name in re.findall(r"\bovertone_\w+", expression)), expression
    assert len(asked) > 20


def test_nothing_that_is_exposed_is_missing_from_it(dashboard):
    """A number that nobody looks at is a number too many; ratios are there for those without a dashboard."""
    asked = " ".join(expressions(dashboard))
    unused = {name for name in exposed() if name.startswith("overtone_") and not re.search(rf"\b{name}\b", asked)}
    glances = {"overtone_batch_fill_ratio", "overtone_cache_hit_ratio", "overtone_build_info"}
    assert unused == glances | {"overtone_request_seconds_sum"}


def test_expressions_are_balanced(dashboard):
    for expression in expressions(dashboard):
        bare = re.sub(r'"[^"]*"', "", expression)
        for opening, closing in ("()", "{}", "[]"):
            assert bare.count(opening) == bare.count(closing), expression
        if re.search(r"_(total|bucket|count|sum)\b", bare):
            assert re.search(r"\b(rate|increase)\(", bare), f"a counter as it is: {expression}"
        if "histogram_quantile" in bare:
            assert re.search(r"by \(le\b", bare), expression


def test_probes_are_left_out_of_latency(dashboard):
    left_out = {found for expression in expressions(dashboard) for found in re.findall(r'route!~"([^"]*)"', expression)}
    assert {frozenset(found.split("|")) for found in left_out} == {PROBES}


def test_it_can_be_imported(dashboard):
    assert dashboard["title"] == "Overtone"
    assert dashboard["schemaVersion"] >= 39
    assert "id" not in dashboard  # an instance gives its own
    variables = {entry["name"]: entry for entry in dashboard["templating"]["list"]}
    assert (variables["datasource"]["type"], variables["datasource"]["query"]) == ("datasource", "prometheus")
    for panel in dashboard["panels"]:
        if panel["type"] != "row":
            assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
            assert all(target["datasource"] == panel["datasource"] for target in panel["targets"])
            assert panel["fieldConfig"]["defaults"]["unit"]


def test_panels_have_ids_and_places_of_their_own(dashboard):
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    for one, other in itertools.combinations([panel["gridPos"] for panel in panels], 2):
        apart_x = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        apart_y = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert apart_x or apart_y, (one, other)
    assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in panels)
    for panel in panels:
        references = [target["refId"] for target in panel.get("targets", ())]
        assert len(set(references)) == len(references)


def test_it_has_a_row_for_everything(dashboard):
    rows = [panel["title"] for panel in dashboard["panels"] if panel["type"] == "row"]
    assert rows == [
        "Traffic",
        "Latency",
        "Queue",
        "Batches and padding",
        "Stages",
        "Memory",
        "Cache",
        "Jobs and streams",
        "Errors",
    ]
