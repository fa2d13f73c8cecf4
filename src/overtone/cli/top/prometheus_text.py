"""Prometheus' text format, read: the numbers of a service at one moment."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

from overtone.system.terminal_text import escape_control_chars

Labels = frozenset[tuple[str, str]]


@dataclass(frozen=True, slots=True, eq=False)
class MetricSamples:
    """Metrics of a service at one moment.

    - `at_s`: when, by a clock that only goes forward; `unix_s`: the same, Unix time.
    - `series`: numbers by the sample's name and its labels.
    - `ready`: True if requests are taken; `reason`: why not, in the service's words.
    """

    at_s: float
    unix_s: float
    series: Mapping[str, Mapping[Labels, float]]
    ready: bool = True
    reason: str = ""

    def value(self, name: str) -> float:
        """The sum over all labels; 0 where there is none."""
        return sum(self.series.get(name, {}).values())

    def values_by_label(self, name: str, label: str) -> dict[str, float]:
        """Numbers by the value of one label, in the order they came in."""
        return {dict(labels).get(label, ""): value for labels, value in self.series.get(name, {}).items()}

    def labels(self, name: str) -> dict[str, str]:
        """The labels of the first sample of that name."""
        return dict(next(iter(self.series.get(name, {})), frozenset()))

    def increase_since(self, before: MetricSamples, name: str) -> Iterator[tuple[dict[str, str], float]]:
        """Increase of a counter, by its labels. One that is lower than before was reset, and counts from zero."""
        earlier = before.series.get(name, {})
        for labels, value in self.series.get(name, {}).items():
            grown = value - earlier.get(labels, 0.0)
            yield dict(labels), grown if grown >= 0 else value


def parse(text: str) -> dict[str, dict[Labels, float]]:
    """The series in a text. ValueError if it is not in Prometheus' format. Labels are made fit for a terminal."""
    series: dict[str, dict[Labels, float]] = {}
    try:
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                labels = frozenset((name, escape_control_chars(value)) for name, value in sample.labels.items())
                if math.isfinite(sample.value):
                    series.setdefault(sample.name, {})[labels] = float(sample.value)
    except (ValueError, LookupError) as error:
        raise ValueError("not in Prometheus' text format") from error
    return series


def quantile(share: float, buckets: Mapping[float, float]) -> float | None:
    """The value that `share` of the observations do not exceed, as Prometheus' `histogram_quantile` estimates it.

    `buckets` are cumulative counts by upper bound, infinity among them. None if there are no observations. Within
    a bucket observations are taken to be spread evenly; past the last finite bound, that bound is the answer.
    """
    total = buckets.get(math.inf, 0.0)
    if total <= 0:
        return None
    rank, lower, below = share * total, 0.0, 0.0
    for bound, count in sorted(buckets.items()):
        if count >= rank:
            if bound == math.inf:
                return lower
            return lower + (bound - lower) * (rank - below) / (count - below) if count > below else bound
        lower, below = bound, count
    return lower
