"""Arithmetic of load: times of requests, their answers, and the figures made of them. Pure."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

Figures = dict[str, Any]

OK = 200
BUSY = 429


@dataclass(frozen=True, slots=True)
class SubmittedSource:
    """One request.

    - `began_s`, `ended_s`: seconds of one clock, from its first byte sent to the last of its answer received.
    - `kind`: `short` or `long`.
    - `status`: of HTTP, or the name of the failure.
    - `late_s`: how much later than planned it was sent.
    """

    kind: str
    audio_s: float
    began_s: float
    ended_s: float
    status: int | str
    retry_after: bool = False
    late_s: float = 0.0

    @property
    def took_s(self) -> float:
        """Seconds from its first byte to the end of its answer."""
        return self.ended_s - self.began_s


def percentile(values: Iterable[float], percent: float) -> float | None:
    """The smallest value that `percent` of all do not exceed (nearest rank); None of nothing."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(percent / 100 * len(ordered)) - 1)] if ordered else None


def spread(values: Sequence[float]) -> Figures:
    """Count, percentiles and the largest."""
    found: Figures = {f"p{percent}_s": percentile(values, percent) for percent in (50, 95, 99)}
    return {"count": len(values), **found, "most_s": max(values, default=None)}


def figures_of(
    sent: Iterable[SubmittedSource], began_s: float, ended_s: float, deadline_s: float = math.inf
) -> Figures:
    """Figures of the answers between two moments, whenever their requests were sent.

    Requests under way at the beginning count and those at the end do not, so in a steady state neither is missed.
    Answers that took longer than the deadline are none.
    """
    seen = [one for one in sent if began_s < one.ended_s <= ended_s]
    good = [one for one in seen if one.status == OK and one.took_s <= deadline_s]
    refused = [one for one in seen if one.status == BUSY]
    seconds = ended_s - began_s
    return {
        "seconds": seconds,
        "answered": len(good),
        "audio_per_s": sum(one.audio_s for one in good) / seconds,
        "requests_per_s": len(good) / seconds,
        "too_late": sum(one.status == OK for one in seen) - len(good),
        "statuses": {str(status): count for status, count in Counter(one.status for one in seen).items()},
        "latency": {
            kind: spread([one.took_s for one in good if one.kind == kind])
            for kind in sorted({one.kind for one in seen}, reverse=True)  # short before long
        },
        "refusals": spread([one.took_s for one in refused]),
        "without_retry_after": sum(not one.retry_after for one in refused),
    }


def added(counts: Iterable[dict[str, int]]) -> dict[str, int]:
    """Counts by name, added up."""
    found: Counter[str] = Counter()
    for some in counts:
        found.update(some)
    return dict(sorted(found.items()))


def joined(rounds: Sequence[Figures]) -> Figures:
    """The figures of rounds of one load, each with its `latencies_s`, as those of one."""
    seconds = sum(found["seconds"] for found in rounds)

    def mean(name: str) -> float:
        return sum(float(found[name]) * float(found["seconds"]) for found in rounds) / float(seconds)

    shared = ("audio_per_s", "requests_per_s", *(["model_busy"] if "model_busy" in rounds[0] else []))
    return {
        **rounds[-1],
        "seconds": seconds,
        "answered": sum(found["answered"] for found in rounds),
        "cpu_s": sum(found["cpu_s"] for found in rounds),
        "statuses": added(found["statuses"] for found in rounds),
        "latency": {"short": spread([taken for found in rounds for taken in found["latencies_s"]])},
        **{name: mean(name) for name in shared},
    }


def failures(statuses: dict[str, int], *allowed: int) -> dict[str, int]:
    """Answers that are not 200 nor allowed, by status."""
    fine = {str(status) for status in (OK, *allowed)}
    return {status: count for status, count in sorted(statuses.items()) if status not in fine}


def arrivals(rate: float, seconds: float, seed: int = 0) -> list[float]:
    """Moments at which independent callers send so many requests in a second: the gaps are exponential (Poisson)."""
    chance, at, moments = random.Random(seed), 0.0, []
    while (at := at + chance.expovariate(rate)) < seconds:
        moments.append(at)
    return moments


def turns(clips: int, *, long_in: int = 0, seed: int = 0) -> Iterator[int]:
    """Index of the clip that each request sends, without end: all in a shuffled order, again and again.

    The number after the last clip's stands for the long file: once in every `long_in` requests, first in the middle of
    those.
    """
    chance, order, number = random.Random(seed), list(range(clips)), 0
    while True:
        chance.shuffle(order)
        for clip in order:
            if long_in and number % long_in == long_in // 2:
                yield clips
                number += 1
            yield clip
            number += 1


def exposed(text: str) -> dict[str, float]:
    """Metrics without labels of Prometheus' text format, by name."""
    pairs = (line.split() for line in text.splitlines() if not line.startswith("#") and "{" not in line)
    return {pair[0]: float(pair[1]) for pair in pairs if len(pair) == 2}


def engine_share(before: dict[str, float], after: dict[str, float], seconds: float) -> Figures:
    """Work of the model between two scrapes: its share of the time, the audio it ran, and how it was batched."""
    grown = {name: after[name] - before.get(name, 0.0) for name in after if name.startswith("overtone_engine_")}
    padded = grown.get("overtone_engine_padded_seconds_total", 0.0)
    batches = grown.get("overtone_engine_batches_total", 0.0)
    return {
        "model_busy": grown.get("overtone_engine_run_seconds_total", 0.0) / seconds,
        "model_audio_per_s": grown.get("overtone_engine_audio_seconds_total", 0.0) / seconds,
        "batch_fill": grown.get("overtone_engine_audio_seconds_total", 0.0) / padded if padded else None,
        "segments_per_batch": grown.get("overtone_engine_segments_total", 0.0) / batches if batches else None,
    }
