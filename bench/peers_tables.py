"""Figures of `peers.py` as tables, notes and a picture."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from common import Table, mib, spread
from transcribe_tables import alike

Figures = Mapping[str, Any]

FUNASR = "funasr, fp32"


def table_of(family: str, found: Figures) -> Table:
    """A row for each contender, a column for each work; then the peak, and how near its answers are to FunASR's."""
    works = found["works"]
    rows: list[tuple[str, ...]] = [(family, *works, "highest memory", "answers beside FunASR's")]
    for name, label in found["labels"].items():
        beside = found["beside"][name]
        cells = [_cell(work, name, beside) for work in works.values()]
        peaks = [one["contenders"].get(name, {}).get("peak_bytes") for one in works.values()]
        peak = max((each for each in peaks if each), default=None)
        rows.append((label, *cells, "" if peak is None else mib(peak), _answers(works, name)))
    return rows


def _cell(work: Figures, name: str, beside: str) -> str:
    """Median seconds of a clip, or all seconds of a folder, with the spread; and how many times Overtone's that is."""
    each = work["contenders"]
    found = each.get(name)
    if found is None:
        return ""
    if found["median_s"] is None:
        return "died" if "signal" in str(found.get("error")) else "failed"
    same = len(set(work["audio_s"])) == 1
    if same:
        text = spread(found["times_s"])
    else:
        rates = [seconds / audio_s for seconds, audio_s in zip(found["times_s"], work["audio_s"], strict=True)]
        text = f"{sum(found['times_s']):.1f} s ({1000 * min(rates):.1f}–{1000 * max(rates):.1f} ms/s)"
    ratio = ratio_of(found, each.get(beside))
    return text if ratio is None or name == beside else f"{text}, {ratio:.2f} ×"


def ratio_of(theirs: Figures, ours: Figures | None) -> float | None:
    """A contender's time over Overtone's, the median of turns; None where one of them did not do all of them."""
    if ours is None or not ours["times_s"] or len(ours["times_s"]) != len(theirs["times_s"]):
        return None
    pairs: list[tuple[float, float]] = list(zip(theirs["times_s"], ours["times_s"], strict=True))
    return statistics.median(other / own for other, own in pairs)


def _answers(works: Figures, name: str) -> str:
    """Largest difference of a score, or the mean likeness of texts."""
    if name == FUNASR:
        return ""
    differences: list[float] = []
    likeness: list[float] = []
    for work in works.values():
        ours, theirs = (work["contenders"].get(one, {}).get("answers") or [] for one in (name, FUNASR))
        for mine, reference in zip(ours, theirs, strict=False):
            scores = mine.get("scores"), reference.get("scores")
            if scores[0] and scores[1] and len(scores[0]) == len(scores[1]):
                differences.append(max(abs(a - b) for a, b in zip(*scores, strict=True)))
            if "text" in mine and "text" in reference:
                found = alike([mine["text"]], [reference["text"]])
                likeness += [] if found is None else [found]
    if differences:
        return f"± {max(differences):.1g}"
    return f"{100 * statistics.mean(likeness):.0f} % alike" if likeness else ""


def tables(figures: Figures) -> list[Table]:
    """One of each family."""
    return [table_of(family, found) for family, found in figures.items()]


def notes(figures: Figures) -> str:
    """A list in Markdown of the circumstances, and of the contenders that were left out."""
    said = [
        "Each contender is a process with one model in it; they take turns at every clip and at every quarter of a "
        "folder, and only one computes at a time. Times are medians, with the least and the most in brackets; of a "
        "folder all seconds, with the least and the most of its quarters in milliseconds for a second of audio.",
        "× is a contender's time over Overtone's in the same precision, the median of turns beside each other.",
        "The highest memory is that of the whole process since it began, with the processes that decode for Overtone.",
        "All run each file whole. Weights are random, from a seed: the shape is what costs. Scores and texts therefore "
        "stand close together, and differ more in 8 bits than those of trained weights.",
        "onnxruntime runs emotion2vec exported whole; sherpa-onnx and funasr-onnx run what their own recipes export.",
    ]
    for family, found in figures.items():
        said += [f"{family}: {name} is left out: {why}" for name, why in found["left_out"].items()]
    return "".join(f"- {line}\n" for line in said)


_COLORS = {"fp32": "sad", "bf16": "happy", "int8": "angry"}
"""Names of the palette of results, by precision; Overtone's bars are full, the others' pale."""


def draw(figures: Figures, path: Path) -> None:
    """Milliseconds for a second of audio in a folder, a bar for each contender, a panel for each family, as a PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from overtone.output.plots.colors import COLORS

    count = sum(len(found["labels"]) for found in figures.values())
    figure = Figure(figsize=(6.4, 1 + 0.22 * count + 0.4 * len(figures)), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    heights = [max(1, len(found["labels"])) for found in figures.values()]
    panels = figure.subplots(len(figures), 1, squeeze=False, height_ratios=heights)[:, 0]
    for axes, (family, found) in zip(panels, figures.items(), strict=True):
        title, work = list(found["works"].items())[-1]
        bars = sorted(_bars(found["labels"], work), key=lambda bar: bar[1][1], reverse=True)
        for place, (name, (least, middle, most)) in enumerate(bars):
            colour = COLORS[next((c for p, c in _COLORS.items() if p in name), "unk")].drawn
            ours = name.startswith("overtone")
            axes.barh(place, middle, color=colour, alpha=1.0 if ours else 0.4, height=0.75)
            axes.plot([least, most], [place, place], color="black", linewidth=0.8)
        axes.set_yticks(range(len(bars)), [found["labels"][name] for name, _ in bars], fontsize=7)
        axes.set_title(f"{family}, {title}", fontsize=8, loc="left")
        axes.tick_params(axis="x", labelsize=7)
        axes.grid(axis="x", alpha=0.3)
    panels[-1].set_xlabel("milliseconds for a second of audio", fontsize=8)
    figure.savefig(path)


def _bars(labels: Mapping[str, str], work: Figures) -> list[tuple[str, tuple[float, float, float]]]:
    """Of each contender that did the work, the least, the whole and the most, in ms for a second of audio."""
    found = []
    for name in labels:
        times: Sequence[float] = work["contenders"].get(name, {}).get("times_s", ())
        if times:
            rates = [1000 * seconds / audio_s for seconds, audio_s in zip(times, work["audio_s"], strict=True)]
            found.append((name, (min(rates), 1000 * sum(times) / sum(work["audio_s"]), max(rates))))
    return found
