"""Figures of `serve.py` as tables; a part that was not measured has none."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from typing import Any

from common import mib
from serve_figures import BUSY, Figures, failures

Rows = list[tuple[str, ...]]

TARGET_CLIENTS = "32"
FOLDER_SHARE = 0.97
GOODPUT_SHARE = 0.9
REFUSED_S = 0.05
"""Seconds within which 95 of 100 refusals are to be sent."""
BUSY_OVER_IDLE = 3.0
BESIDE_OVER_ALONE = 2.0

LOAD_HEAD = ("audio s/s", "requests/s", "p50", "p95", "p99", "failed", "peak memory", "model busy", "load's CPU")


def tables_of(figures: Mapping[str, Any]) -> list[Rows]:
    """The tables that there are figures for."""
    made = (throughput_of(figures), mixed_of(figures), beside_of(figures), overload_of(figures), latency_of(figures))
    return [table for table in made if len(table) > 1]


def throughput_of(figures: Mapping[str, Any]) -> Rows:
    """Overtone offline, Overtone's service and FunASR's, by the number of clients."""
    found, theirs = figures.get("throughput", {}), figures.get("plain", {})
    rows: Rows = [("server", "clients", "of the folder", *LOAD_HEAD, "target")]
    offline = None
    if found:
        offline = statistics.mean(run["audio_per_s"] for run in found["folder"])
        runs = [run["audio_per_s"] for run in found["folder"]]
        cells = [
            "",
            "",
            f"{offline:.1f} ({min(runs):.1f} to {max(runs):.1f})",
            f"{_per_s(found['folder']):.1f}",
            "",
            "",
            "",
            "",
        ]
        peak = mib(max(run["peak_bytes"] for run in found["folder"]))
        rows.append(("Overtone, the folder offline", *cells, peak, _percent(_busy(found["folder"])), "", ""))
    for clients, level in found.get("levels", {}).items():
        # Each turn beside the folder before and after it; figures from before there were turns have none.
        shares = level.get("of_folder") or [level["audio_per_s"] / offline if offline else None]
        share = shares[0] if None in shares else statistics.median(shares)
        target = f"≥ {100 * FOLDER_SHARE:.0f} %" if clients == TARGET_CLIENTS else ""
        rows.append(("Overtone", clients, _percent(share), *_load(level), target))
    for clients, level in theirs.get("levels", {}).items():
        share = level["audio_per_s"] / offline if offline else None
        rows.append(("FunASR + FastAPI", clients, _percent(share), *_load(level), ""))
    return rows


def _per_s(runs: list[Figures]) -> float:
    return statistics.mean(float(run["files"] / run["seconds"]) for run in runs)


def _busy(runs: list[Figures]) -> float:
    return statistics.mean(float(run["run_s"] / run["seconds"]) for run in runs)


def mixed_of(figures: Mapping[str, Any]) -> Rows:
    """Short clips with long files among them."""
    rows: Rows = [("mixed", "answered", *LOAD_HEAD)]
    if found := figures.get("mixed"):
        name = f"{found['clients']} clients, {found['seconds']:.0f} s"
        rows.append((name, str(found["answered"]), *_load({**found, "latency": {}})))
        for kind, spread in found["latency"].items():
            what = "short clips" if kind == "short" else f"10-minute files, one in {found['long_in']} requests"
            rows.append((what, str(spread["count"]), "", "", *_spread(spread), "", "", "", ""))
    return rows


def beside_of(figures: Mapping[str, Any]) -> Rows:
    """Short clips alone, and beside long files."""
    rows: Rows = [("short clips", "answered", *LOAD_HEAD, "p95 / alone", "target")]
    found = figures.get("beside")
    if not found:
        return rows
    before, after = (found[name]["latency"]["short"]["p95_s"] for name in ("alone", "beside"))
    ratio = f"{after / before:.2f} ×" if before and after else ""
    alone, beside = (found[name] for name in ("alone", "beside"))
    name = f"{beside['clients']} clients, {found['long_clients']} more with 10-minute files"
    rows.append((f"{alone['clients']} clients alone", str(alone["answered"]), *_load(alone), "", ""))
    rows.append((name, str(beside["answered"]), *_load(beside), ratio, f"≤ {BESIDE_OVER_ALONE:g} ×"))
    return rows


def overload_of(figures: Mapping[str, Any]) -> Rows:
    """More than can be answered."""
    rows: Rows = [("overload", "found", "target")]
    found = figures.get("overload")
    if not found:
        return rows
    able = found["able"]["audio_per_s"]
    refused, answered = found["refusals"], found["latency"].get("short", {})
    lost = failures(found["statuses"], BUSY)
    return [
        *rows,
        (f"can be answered: {found['able']['clients']} clients in a closed loop", f"{able:.1f} audio s/s", ""),
        (
            "offered",
            f"{found['offered_audio_per_s']:.1f} audio s/s ({found['offered_audio_per_s'] / able:.1f} ×), "
            f"{found['offered_requests_per_s']:.1f} requests/s",
            f"{found['times']:g} ×",
        ),
        (
            f"answered within {found['deadline_s']:g} s",
            f"{found['audio_per_s']:.1f} audio s/s, {_percent(found['audio_per_s'] / able)} of what can be",
            f"≥ {100 * GOODPUT_SHARE:.0f} %",
        ),
        ("time to an answer: p50, p95, p99", ", ".join(_spread(answered)), ""),
        ("answered later", str(found["too_late"]), ""),
        (
            f"time to a 429 ({refused['count']}): p50, p95, p99",
            ", ".join(_spread(refused)),
            f"p95 ≤ {1000 * REFUSED_S:.0f} ms",
        ),
        ("429 without Retry-After", str(found["without_retry_after"]), "0"),
        ("other statuses", _failed(lost), "none"),
        ("peak memory, of the budget", _of_budget(found), "≤ 100 %"),
        ("not sent: no connection free", str(found["unsent"]), "0"),
        ("sent later than planned: p99", _time(found["late_p99_s"]), ""),
        ("load's CPU", _cpu(found), ""),
    ]


def latency_of(figures: Mapping[str, Any]) -> Rows:
    """A clip alone, and beside an hour."""
    rows: Rows = [("clip of 5 s, one client", "requests", "p50", "p95", "p99", "p95 / idle", "failed", "target")]
    found = figures.get("latency")
    if not found:
        return rows
    idle, busy = found["idle"], found["busy"]
    before, reserve = (part["latency"].get("short", {}) for part in (idle, busy))
    known = before.get("p95_s") and reserve.get("p95_s")
    ratio = f"{reserve['p95_s'] / before['p95_s']:.2f} ×" if known else ""
    rows.append(("idle", _count(before), *_spread(before), "", _failed(failures(idle["statuses"])), ""))
    cells = (_count(reserve), *_spread(reserve), ratio, _failed(failures(busy["statuses"])))
    rows.append(("beside a job of an hour", *cells, f"≤ {BUSY_OVER_IDLE:g} ×"))
    return rows


NOTES = {
    "throughput": "a service of its own for each row, its cache off, and no two requests with the same bytes, so each "
    "is computed; clients keep their connection; counted once each client has had an answer; "
    "the folder and the service take turns, each row has the median over its turns of its share of the folder before "
    "and after, and the mean, least and most of the folder's runs are shown",
    "plain": "FunASR behind FastAPI, as its own HTTP server is made: one AutoModel, an `async def` endpoint that saves "
    "the upload and calls `generate`; the same checkpoint, clips, clients and threads; fp32",
    "mixed": "clients as above, deadline {deadline_s:g} s; 429 and any other status but 200 are failures",
    "beside": "clients as above, all of one address; turns with the long files and without them, in one service; what "
    "is still under way at the end of a turn is given up",
    "overload": "requests at random moments (Poisson), sent whether others are answered or not, over at most 256 "
    "connections; queue of {queue_audio_s:.0f} s of audio, deadline {deadline_s:g} s; times from a request's first "
    "byte sent to the last of its answer received",
    "latency": "half a second of pause between requests; a job that ended was followed by another, which was so in "
    "{busy[rounds_cut_short]} of {busy[rounds]} rounds",
}


def notes_of(figures: Mapping[str, Any]) -> Rows:
    """Notes on how each part was measured."""
    rows: Rows = [("part", "how")]
    for name, text in NOTES.items():
        if found := figures.get(name):
            how = f"left out: {found['left_out']}" if "left_out" in found else text.format(**found)
            rows.append((name, f"{how}; {found['files']} clips of {found['corpus']}"))
    return rows


def _load(found: Figures) -> tuple[str, ...]:
    spread = _spread(found["latency"].get("short", {}))
    rates = (f"{found['audio_per_s']:.1f}", f"{found['requests_per_s']:.2f}")
    lost = f"died: {found['died'][-80:]}" if "died" in found else _failed(failures(found["statuses"]))
    return (*rates, *spread, lost, _peak(found), _percent(found.get("model_busy")), _cpu(found))


def _peak(found: Figures) -> str:
    if found.get("peak_bytes") is None:
        return ""
    own = found.get("own_peak_bytes")
    return mib(found["peak_bytes"]) + (f" ({mib(own)} by its metrics)" if own else "")


def _of_budget(found: Figures) -> str:
    if found.get("peak_bytes") is None or not found.get("budget_bytes"):
        return ""
    return f"{_peak(found)}, {_percent(found['peak_bytes'] / found['budget_bytes'])} of {mib(found['budget_bytes'])}"


def _cpu(found: Figures) -> str:
    return f"{found['cpu_s']:.2f} s of {found['seconds']:.0f}"


def _failed(lost: Mapping[str, int]) -> str:
    return ", ".join(f"{status}: {count}" for status, count in lost.items()) or "none"


def _count(spread: Figures) -> str:
    return str(spread.get("count", 0))


def _spread(spread: Figures) -> tuple[str, str, str]:
    return _time(spread.get("p50_s")), _time(spread.get("p95_s")), _time(spread.get("p99_s"))


def _time(seconds: float | None) -> str:
    if seconds is None:
        return ""
    return f"{1000 * seconds:.1f} ms" if seconds < 0.1 else f"{seconds:.3f} s" if seconds < 1 else f"{seconds:.2f} s"


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.0f} %"
