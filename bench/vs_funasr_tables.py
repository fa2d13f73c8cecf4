"""Figures of `vs_funasr.py` as tables and as a picture; and earlier measurements kept beside new ones."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from common import mib, spread
from machine_rate import PRODUCT, rate_of

Figures = dict[str, Any]

PRECISIONS = ("fp32", "bf16", "int8")
FUNASR = "funasr"

CLIP_TARGETS = {
    5: "≥ 1.4 / 3 / 5 ×",
    15: "≥ 1.4 / 3 / 5 ×",
    30: "≥ 2 / 4 / 7 ×",
    60: "≥ 3 / 6 / 10 ×",
    120: "≥ 5 / 11 / 18 ×",
}
"""FunASR's time over Overtone's, fp32 / bf16 / int8, by seconds of the clip."""

FOLDER_TARGET = "≥ 1.4 / 3 / 5 ×"
HOUR_TARGET = "within 10 % of 15 s"
COLD_TARGET = "≤ 1.5 s"

HEAD = ("work", "FunASR", "fp32", "bf16", "int8", "target, fp32 / bf16 / int8")


def merged(before: Mapping[str, Any], now: Figures) -> Figures:
    """Earlier works that were not measured now, with those that were.

    Each work holds `measured`, its circumstances; works for which that differs in more than the date are left out.
    """

    def setting(work: Mapping[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in work.get("measured", {}).items() if key != "date"}

    here = setting(next(iter(now.values())))
    return {**{name: work for name, work in before.items() if setting(work) == here}, **now}


def table_of(figures: Figures) -> list[tuple[str, ...]]:
    """All works as rows, the time first, then FunASR's time over it, then the peak of the process's memory."""
    rows: list[tuple[str, ...]] = [HEAD]
    for seconds, found in figures.get("clips", {}).get("clips", {}).items():
        target = CLIP_TARGETS.get(int(seconds), "")
        rows.append((f"{seconds} s clip", *_cells(found), target))
        if "fp32, whole" in found:
            whole = {FUNASR: found[FUNASR], "fp32": found["fp32, whole"]}
            rows.append((f"{seconds} s clip, whole file", *_cells(whole), ""))
    if folder := figures.get("folder"):
        found = folder["contenders"]
        name = f"{folder['files']} clips {folder['corpus']}"
        rows.append((f"{name} to JSON lines", *_cells(found), FOLDER_TARGET))
        if (batched := found.get("funasr, batch_size")) is not None:
            rows.append((f"the same, FunASR with batch_size={folder['batch_size']}", _cell(batched), "", "", "", ""))
    if hour := figures.get("hour"):
        rows.append((f"{hour['audio_s'] / 3600:g} h file", *_hour_cells(hour["contenders"]), HOUR_TARGET))
    for name, found in figures.get("cold", {}).get("starts", {}).items():
        rows.append((f"process start to first result, {name}", *_cells(found), COLD_TARGET))
    return rows


def _cells(found: Mapping[str, Any]) -> tuple[str, ...]:
    theirs = found.get(FUNASR)
    return (_cell(theirs), *(_cell(found.get(name), theirs) for name in PRECISIONS))


def _cell(found: Mapping[str, Any] | None, theirs: Mapping[str, Any] | None = None) -> str:
    if found is None:
        return ""
    if found.get("median_s") is None:
        return "died" if "signal" in str(found.get("error")) else "failed"
    parts = [spread(found.get("times_s") or [found["median_s"]])]
    if theirs is not None and theirs.get("median_s") is not None:
        parts.append(f"{theirs['median_s'] / found['median_s']:.2f} ×")
    if found.get("peak_bytes"):
        parts.append(mib(found["peak_bytes"]))
    return ", ".join(parts)


def _hour_cells(found: Mapping[str, Any]) -> tuple[str, ...]:
    cells = [_cell(found.get(FUNASR))]
    for name in PRECISIONS:
        cell = _cell(found.get(name))
        ratio = found.get(name, {}).get("rtf_over_short")
        cells.append(f"{cell}; {ratio:.2f} × the time per second of 15 s" if ratio else cell)
    return tuple(cells)


def fractions_of(figures: Figures) -> list[tuple[str, ...]]:
    """Part of the machine's rate of matrix products that each clip reached, with that rate in the head.

    No row where that rate was measured with another library's products, as it once was.
    """
    clips = figures.get("clips", {})
    source = next((work for work in (figures.get("rate"), clips) if work and work.get("product") == PRODUCT), None)
    rates = {} if source is None else source["rates"]

    def head(name: str) -> str:
        rate = rate_of(rates, name)
        return name if rate is None else f"{name}, of {rate / 1e9:.0f} GFLOP/s"

    def cell(found: Mapping[str, Any], name: str) -> str:
        rate = rate_of(rates, "fp32" if name == FUNASR else name)
        if rate is None or found.get("median_s") is None or "flops" not in found:
            return ""
        return f"{100 * found['flops'] / found['median_s'] / rate:.0f} %"

    rows: list[tuple[str, ...]] = [("clip", f"FunASR, {head('fp32')}", *map(head, PRECISIONS))]
    for seconds, found in clips.get("clips", {}).items() if rates else ():
        rows.append((f"{seconds} s", *(cell(found.get(name, {}), name) for name in (FUNASR, *PRECISIONS))))
    return rows


_LINES = {
    FUNASR: ("FunASR, fp32", "unk", "s"),
    "fp32": ("Overtone, fp32", "sad", "o"),
    "fp32, whole": ("Overtone, fp32, whole file", "surprised", "v"),
    "bf16": ("Overtone, bf16", "happy", "D"),
    "int8": ("Overtone, int8", "angry", "^"),
}
"""Name, color (of the palette of results) and marker of each line: either is enough to know it by."""


def draw(figures: Figures, path: Path) -> None:
    """Seconds for a second of audio over the length of the clip, one line for each contender, as a small PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import FormatStrFormatter, LogLocator

    from overtone.output.plots.colors import COLORS

    clips = figures["clips"]["clips"]
    figure = Figure(figsize=(6, 3.6), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for name, (label, colour, marker) in _LINES.items():
        points = [
            (int(seconds), found[name]["median_s"] / int(seconds))
            for seconds, found in clips.items()
            if found.get(name, {}).get("median_s")
        ]
        if points:
            axes.plot(*zip(*points, strict=True), label=label, color=COLORS[colour].drawn, marker=marker, markersize=4)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xticks([int(seconds) for seconds in clips], [f"{seconds} s" for seconds in clips])
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(FormatStrFormatter("%g"))
    axes.minorticks_off()
    axes.set_xlabel("length of the clip")
    axes.set_ylabel("seconds per second of audio")
    axes.grid(alpha=0.3, which="major")
    figure.legend(fontsize=8, frameon=False, loc="outside upper center", ncols=3)
    figure.savefig(path)
